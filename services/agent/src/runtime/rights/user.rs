//! The user and groups of a process, looked up in the container's /etc/passwd and /etc/group.
//!
//! A file is read only if the answer needs it: numbers for both user and group need neither. The tenant controls both files. At
//! most [`FILE_BYTES`] of each are read, and at most [`GROUPS`] groups are kept. As in other runtimes, digits are an id and never
//! a name, even if a user or group has such a name (CVE-2016-3697). A number that is no known user is used with group 0. An
//! explicit group replaces the memberships in /etc/group. The primary group is among the groups, so that setgid(2) cannot remove
//! it (CVE-2022-2989).

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::runtime::error::{Result, RuntimeError};
use crate::runtime::filesystem::in_root;

const FILE_BYTES: u64 = 1024 * 1024;
const GROUPS: usize = 1024;

/// A resolved user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids, the primary one among them.
    pub groups: Vec<u32>,
    /// Home directory, "/" if unknown.
    pub home: String,
}

/// The user database of a container.
pub struct Accounts {
    passwd: Text,
    group: Text,
}

/// The text of a file, read on first use.
struct Text {
    read: Box<dyn Fn() -> String>,
    text: OnceCell<String>,
}

impl Text {
    fn new(read: impl Fn() -> String + 'static) -> Self {
        Self { read: Box::new(read), text: OnceCell::new() }
    }

    fn lines(&self) -> std::str::Lines<'_> {
        self.text.get_or_init(|| (self.read)()).lines()
    }
}

impl Accounts {
    /// The database below `root`. A file that cannot be read counts as empty.
    pub fn read(root: &OwnedFd) -> Self {
        let root = Rc::new(root.try_clone().ok());
        let file = |path| {
            let root = Rc::clone(&root);
            Text::new(move || {
                let read = |root| in_root::read_file(root, path, FILE_BYTES).ok();
                let bytes = root.as_ref().as_ref().and_then(read).unwrap_or_default();
                String::from_utf8_lossy(&bytes).into_owned()
            })
        };
        Self { passwd: file("etc/passwd"), group: file("etc/group") }
    }

    /// The names of the given users, found in one pass.
    pub fn names_of(&self, uids: &HashSet<u32>) -> HashMap<u32, &str> {
        let mut names = HashMap::new();
        for user in self.users().filter(|user| uids.contains(&user.uid)) {
            names.entry(user.uid).or_insert(user.name);
            if names.len() == uids.len() {
                break;
            }
        }
        names
    }

    /// Resolves `spec` ("", "name", "uid", "name:group", "uid:gid") and more groups by name or number.
    pub fn resolve(&self, spec: &str, additional: &[String]) -> Result<User> {
        self.look_up(spec, additional, true)
    }

    /// As [`Self::resolve`], but the home directory may be "/" even if the user has another.
    pub fn resolve_ids(&self, spec: &str, additional: &[String]) -> Result<User> {
        self.look_up(spec, additional, false)
    }

    fn look_up(&self, spec: &str, additional: &[String], needs_home: bool) -> Result<User> {
        let (user_spec, group_spec) = spec.split_once(':').unwrap_or((spec, ""));
        let user_spec = if user_spec.is_empty() { "0" } else { user_spec };
        let named = Named::parse("user", user_spec)?;
        let is_given = matches!(named, Named::Id(_)) && !group_spec.is_empty() && !needs_home;
        let entry = if is_given { None } else { self.users().find(|user| named.is(user.name, user.uid)) };
        let (uid, mut gid, home, name) = match (entry, named) {
            (Some(user), _) => (user.uid, user.gid, user.home, Some(user.name)),
            (None, Named::Id(uid)) => (uid, 0, "/", None),
            (None, Named::Name(_)) => return Err(unknown("user", user_spec)),
        };
        let mut groups = Vec::new();
        if !group_spec.is_empty() {
            gid = self.group_id(group_spec)?;
        } else if let Some(name) = name {
            let member = |group: &Group<'_>| group.members.split(',').any(|member| member == name);
            groups.extend(self.groups().filter(member).map(|group| group.gid).take(GROUPS));
        }
        for group in additional {
            groups.push(self.group_id(group)?);
        }
        groups.retain(|group| *group != gid);
        groups.sort_unstable();
        groups.dedup();
        groups.truncate(GROUPS - 1);
        groups.push(gid);
        groups.sort_unstable();
        let home = if home.starts_with('/') { home } else { "/" };
        Ok(User { uid, gid, groups, home: home.chars().filter(|c| *c != '\0').collect() })
    }

    fn group_id(&self, spec: &str) -> Result<u32> {
        match Named::parse("group", spec)? {
            Named::Id(gid) => Ok(gid),
            Named::Name(name) => {
                let known = self.groups().find(|group| group.name == name);
                known.map(|group| group.gid).ok_or_else(|| unknown("group", spec))
            }
        }
    }

    fn users(&self) -> impl Iterator<Item = Account<'_>> {
        self.passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| !name.is_empty())?;
            let uid = parse_id(fields.nth(1)?)?;
            let gid = parse_id(fields.next()?)?;
            let home = fields.nth(1).unwrap_or("/");
            Some(Account { name, uid, gid, home })
        })
    }

    fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| !name.is_empty())?;
            let gid = parse_id(fields.nth(1)?)?;
            let members = fields.next().unwrap_or("");
            Some(Group { name, gid, members })
        })
    }
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// How a request names a user or a group.
#[derive(Clone, Copy)]
enum Named<'a> {
    Id(u32),
    Name(&'a str),
}

impl<'a> Named<'a> {
    fn parse(what: &str, spec: &'a str) -> Result<Self> {
        if spec.is_empty() || !spec.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self::Name(spec));
        }
        let out_of_range = || RuntimeError::InvalidSpec(format!("{what} {} is above 2147483647", shown(spec)));
        parse_id(spec).map(Self::Id).ok_or_else(out_of_range)
    }

    fn is(self, name: &str, id: u32) -> bool {
        match self {
            Self::Id(wanted) => wanted == id,
            Self::Name(wanted) => wanted == name,
        }
    }
}

/// Ids above 2^31 - 1 are refused: -1 means "leave as it is" to the kernel.
fn parse_id(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|id| *id <= i32::MAX as u32)
}

fn shown(spec: &str) -> String {
    spec.chars().take(64).collect()
}

fn unknown(what: &str, spec: &str) -> RuntimeError {
    let shown = shown(spec);
    RuntimeError::InvalidSpec(format!(
        "{what} {shown:?} is not in the container's /etc/{}; use a number, or an image that has it",
        if what == "user" { "passwd" } else { "group" }
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts_of(passwd: &str, group: &str) -> Accounts {
        let text = |text: &str| {
            let text = text.to_owned();
            Text::new(move || text.clone())
        };
        Accounts { passwd: text(passwd), group: text(group) }
    }

    fn accounts() -> Accounts {
        accounts_of(
            "root:x:0:0:root:/root:/bin/sh\nbroken\napp:x:1000:1001::/home/app:/bin/sh\nneg:x:-1:0::/:\n",
            "root:x:0:\napp:x:1001:\naudio:x:29:app,other\nvideo:x:44:app\n",
        )
    }

    #[test]
    fn a_user_has_the_group_home_and_memberships_of_its_name() {
        let user = accounts().resolve("app", &[]).unwrap();
        let expected = User { uid: 1000, gid: 1001, groups: vec![29, 44, 1001], home: "/home/app".into() };
        assert_eq!(user, expected);
        assert_eq!(accounts().resolve("1000", &[]).unwrap(), expected);
    }

    #[test]
    fn no_user_means_root() {
        let user = accounts().resolve("", &[]).unwrap();
        assert_eq!((user.uid, user.gid, user.home.as_str()), (0, 0, "/root"));
    }

    #[test]
    fn an_unknown_number_is_used_with_group_0() {
        let user = accounts().resolve("4242", &[]).unwrap();
        assert_eq!(user, User { uid: 4242, gid: 0, groups: vec![0], home: "/".into() });
        assert_eq!(accounts().resolve("4242:4343", &[]).unwrap().gid, 4343);
    }

    #[test]
    fn an_explicit_group_replaces_memberships() {
        let user = accounts().resolve("app:video", &["audio".into(), "77".into()]).unwrap();
        assert_eq!((user.gid, user.groups), (44, vec![29, 44, 77]));
    }

    #[test]
    fn digits_are_an_id_even_if_a_user_or_group_has_them_for_a_name() {
        let accounts = accounts_of(
            "1000:x:0:0::/root:/bin/sh\n99999999999:x:0:0::/:\napp:x:1000:1001::/home/app:/bin/sh\n",
            "7:x:0:\n1001:x:0:\nmany:x:7:\n",
        );
        let user = accounts.resolve("1000", &[]).unwrap();
        assert_eq!((user.uid, user.gid, user.home.as_str()), (1000, 1001, "/home/app"));
        let user = accounts.resolve("1000:1001", &["7".into()]).unwrap();
        assert_eq!((user.gid, user.groups), (1001, vec![7, 1001]));
        assert!(accounts.resolve("99999999999", &[]).is_err(), "a number out of range is not a name");
    }

    #[test]
    fn the_primary_group_is_kept_among_too_many_groups() {
        let members: String = (0..2000).map(|number| format!("g{number}:x:{}:app\n", 5000 + number)).collect();
        let accounts = accounts_of("app:x:1000:60000::/:\n", &members);
        let user = accounts.resolve("app", &[]).unwrap();
        assert_eq!((user.groups.len(), user.groups.last()), (GROUPS, Some(&60000)));
    }

    #[test]
    fn unknown_names_and_numbers_that_mean_something_else_to_the_kernel_are_refused() {
        for bad in ["nobody", "app:nogroup", "4294967295", "-1", "neg", "99999999999"] {
            assert!(accounts().resolve(bad, &[]).is_err(), "{bad}");
        }
        assert!(accounts().resolve("app", &["nogroup".into()]).is_err());
    }

    #[test]
    fn a_file_is_read_once_and_only_when_the_answer_is_in_it() {
        let reads = Rc::new(std::cell::Cell::new((0, 0)));
        let counted = |passwd: bool, text: &'static str| {
            let reads = Rc::clone(&reads);
            Text::new(move || {
                let (users, groups) = reads.get();
                reads.set(if passwd { (users + 1, groups) } else { (users, groups + 1) });
                text.to_owned()
            })
        };
        let reads_of = |spec: &str, additional: &[&str], needs_home: bool| {
            reads.set((0, 0));
            let accounts = Accounts {
                passwd: counted(true, "app:x:1000:1001::/home/app:\n"),
                group: counted(false, "audio:x:29:app\n"),
            };
            let additional: Vec<String> = additional.iter().map(|group| (*group).to_owned()).collect();
            let user = accounts.look_up(spec, &additional, needs_home).unwrap();
            let again = accounts.look_up(spec, &additional, needs_home).unwrap();
            assert_eq!(user, again);
            (user.uid, user.gid, reads.get())
        };
        assert_eq!(reads_of("1000:7", &["8"], false), (1000, 7, (0, 0)), "all of it is given");
        assert_eq!(reads_of("1000:7", &[], true), (1000, 7, (1, 0)), "the home directory is not");
        assert_eq!(reads_of("1000:7", &["audio"], false), (1000, 7, (0, 1)), "a group's number is not");
        assert_eq!(reads_of("4242", &[], false), (4242, 0, (1, 0)), "a user without a name is not a member of a group");
        assert_eq!(reads_of("1000", &[], false), (1000, 1001, (1, 1)));
        assert_eq!(reads_of("app:7", &[], false), (1000, 7, (1, 0)));
    }

    #[test]
    fn the_first_name_of_each_user_is_used() {
        let accounts = accounts_of("a:x:1:0::/:\nb:x:2:0::/:\nc:x:1:0::/:\n", "");
        assert_eq!(accounts.names_of(&HashSet::from([1, 2, 3])), HashMap::from([(1, "a"), (2, "b")]));
        assert_eq!(accounts.names_of(&HashSet::new()), HashMap::new());
    }

    #[test]
    fn any_text_of_the_account_files_is_accepted() {
        crate::fuzzing::fuzz("accounts", |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let (passwd, group) = text.split_once('\0').unwrap_or((&text, ""));
            let accounts = accounts_of(passwd, group);
            let words = || text.split([':', ',', '\n', '\0']).take(16);
            for spec in words().chain(["", "0", "1000", "app", "app:audio", "4294967295"]) {
                let more: Vec<String> = words().map(str::to_owned).collect();
                for additional in [&[][..], &more] {
                    let Ok(user) = accounts.resolve(spec, additional) else { continue };
                    assert!(user.groups.contains(&user.gid) && user.groups.len() <= GROUPS);
                    assert!(user.home.starts_with('/') && !user.home.contains('\0'));
                    accounts.names_of(&HashSet::from([user.uid]));
                }
            }
        });
    }
}
