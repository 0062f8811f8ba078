use super::*;

const NONCE: &str = "0123456789abcdef0123456789abcdef";

fn hello(nonce: &str) -> Vec<u8> {
    format!("PADDOCK/1 HELLO {nonce}\n").into_bytes()
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[0, 0, 0, 0, 0, 1]);
    frame.extend_from_slice(payload);
    frame
}

/// What a scanner found in a stream.
#[derive(Default, Debug, PartialEq)]
struct Seen {
    nonces: Vec<String>,
    connection: Vec<u8>,
}

/// Feeds a stream in pieces, answering each HELLO as the link does.
fn scan(scanner: &mut Scanner, stream: &[u8], piece: usize) -> Seen {
    let mut seen = Seen::default();
    for mut rest in stream.chunks(piece) {
        while !rest.is_empty() {
            let used = match scanner.feed(rest) {
                Found::Bytes { used, connection } => {
                    if connection {
                        seen.connection.extend_from_slice(&rest[..used]);
                    }
                    used
                }
                Found::Hello { used, nonce } => {
                    seen.nonces.push(String::from_utf8(nonce.0.to_vec()).unwrap());
                    seen.connection.clear();
                    scanner.expect_preface();
                    used
                }
                Found::Broken { used } => {
                    seen.connection.clear();
                    used
                }
            };
            rest = &rest[used..];
        }
    }
    seen
}

fn live() -> Scanner {
    let mut scanner = Scanner::new();
    scan(&mut scanner, &[hello(NONCE), PREFACE.to_vec()].concat(), 1000);
    scanner
}

#[test]
fn the_ready_line_is_that_of_the_contract() {
    let nonce = Nonce::parse(&hello(NONCE)).unwrap();
    assert_eq!(nonce.ready_line().to_vec(), format!("PADDOCK/1 READY {NONCE}\n").into_bytes());
}

#[test]
fn a_connection_is_found_in_a_stream_cut_into_pieces_of_any_size() {
    let http2 = [PREFACE.to_vec(), frame(b""), frame(&[7; 300]), frame(b"end")].concat();
    let stream = [b"garbage\n\0PADDOCK/1 HELLO no\n".to_vec(), hello(NONCE), http2.clone()].concat();
    for piece in 1..stream.len() {
        let seen = scan(&mut Scanner::new(), &stream, piece);
        assert_eq!(seen, Seen { nonces: vec![NONCE.to_owned()], connection: http2.clone() }, "pieces of {piece}");
    }
}

#[test]
fn only_lower_case_hex_of_the_right_length_is_a_nonce() {
    for bad in ["0123", "0123456789ABCDEF0123456789ABCDEF", "0123456789abcdef0123456789abcdeg", &"0".repeat(33)] {
        assert_eq!(scan(&mut Scanner::new(), &hello(bad), 1000).nonces.len(), 0, "{bad}");
    }
}

#[test]
fn a_hello_between_two_frames_starts_a_new_connection() {
    let next = "f".repeat(32);
    for piece in 1..200 {
        let mut scanner = live();
        let stream = [frame(b"old"), hello(&next), PREFACE.to_vec(), frame(b"new")].concat();
        let seen = scan(&mut scanner, &stream, piece);
        assert_eq!(seen.nonces, std::slice::from_ref(&next), "pieces of {piece}");
        assert_eq!(seen.connection, [PREFACE.to_vec(), frame(b"new")].concat());
    }
}

#[test]
fn a_hello_instead_of_the_preface_starts_a_new_connection() {
    let next = "e".repeat(32);
    for piece in 1..100 {
        let stream = [hello(NONCE), hello(&next), PREFACE.to_vec()].concat();
        let seen = scan(&mut Scanner::new(), &stream, piece);
        assert_eq!(seen.nonces, [NONCE.to_owned(), next.clone()], "pieces of {piece}");
        assert_eq!(seen.connection, PREFACE);
    }
}

#[test]
fn a_hello_inside_a_frame_is_a_tenants_bytes() {
    let mut scanner = live();
    let stream = frame(&[b"before".to_vec(), hello(NONCE), b"after".to_vec()].concat());
    let seen = scan(&mut scanner, &stream, 7);
    assert_eq!(seen, Seen { nonces: vec![], connection: stream });
    assert_eq!(scanner.stalled_hello(), None, "the frame is complete");
}

#[test]
fn a_hello_that_ends_the_input_in_mid_frame_is_suspected() {
    let next = "d".repeat(32);
    for cut in 1..9 + 80 {
        let mut scanner = live();
        let old = &frame(&[1; 200])[..cut];
        scan(&mut scanner, &[old.to_vec(), hello(&next)].concat(), 11);
        let suspected = scanner.stalled_hello().map(|nonce| nonce.0.to_vec());
        assert_eq!(suspected, Some(next.clone().into_bytes()), "cut at {cut}");
    }
}

#[test]
fn a_complete_frame_that_ends_in_a_hello_is_not_suspected() {
    let mut scanner = live();
    scan(&mut scanner, &frame(&hello(NONCE)), 1000);
    assert_eq!(scanner.stalled_hello(), None);
}

#[test]
fn a_hello_is_found_when_an_older_disconnect_is_reported_inside_it() {
    let line = hello(NONCE);
    for cut in 1..line.len() {
        let mut scanner = live();
        scan(&mut scanner, &[&frame(b"old")[..5], &line[..cut]].concat(), 1000);
        let suspected = scanner.stalled_hello().is_some();
        scanner.reset();
        let found = scan(&mut scanner, &line[cut..], 1000).nonces.len();
        assert_eq!(usize::from(suspected) + found, 1, "cut at {cut}");
    }
}

#[test]
fn a_connection_is_fresh_until_it_receives_a_byte() {
    let mut scanner = Scanner::new();
    scan(&mut scanner, &hello(NONCE), 1000);
    assert!(scanner.is_fresh());
    scan(&mut scanner, b"P", 1000);
    assert!(!scanner.is_fresh());
}

#[test]
fn no_frame_we_allow_looks_like_a_hello() {
    let [a, b, c] = [HELLO[0], HELLO[1], HELLO[2]].map(usize::from);
    assert!(a << 16 | b << 8 | c > MAX_FRAME_BYTES);
}
