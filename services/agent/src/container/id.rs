//! Ids: the only strings of a request that ever become part of a path.

use super::error::ContainerError;

/// Checks `^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`.
pub fn check_id(what: &str, id: &str) -> Result<(), ContainerError> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    let first = id.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if first && id.len() <= 128 && id.as_bytes().iter().all(allowed) {
        return Ok(());
    }
    Err(ContainerError::Invalid(format!(
        "{what} must be 1 to 128 letters, digits, '_', '.' or '-', and begin with a letter or digit"
    )))
}

#[cfg(test)]
mod tests {
    use super::check_id;

    #[test]
    fn ids_cannot_name_another_directory() {
        for good in ["a", "A-1_b.c", "0", &"x".repeat(128)] {
            assert!(check_id("id", good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "-a", "a/b", "a b", "a\0", "é", &"x".repeat(129)] {
            assert!(check_id("id", bad).is_err(), "{bad}");
        }
    }
}
