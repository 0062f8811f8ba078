//! Signal numbers of requests.

use nix::sys::signal::Signal;

use super::error::ProcessError;

/// Whether a number is a signal, real-time ones included.
pub fn check_signal(number: i32) -> Result<i32, ProcessError> {
    let real_time = (32..=64).contains(&number);
    if real_time || Signal::try_from(number).is_ok() { Ok(number) } else { Err(ProcessError::BadSignal(number)) }
}

#[cfg(test)]
mod tests {
    use super::check_signal;

    #[test]
    fn signals_are_1_to_64() {
        assert!((1..=64).all(|number| check_signal(number).is_ok()));
        assert!([i32::MIN, -1, 0, 65, i32::MAX].iter().all(|number| check_signal(*number).is_err()));
    }
}
