//! Processor time and memory of processes.

use super::Result;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Processor time that this process has used so far.
pub(super) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

/// Processor time of another process, in steps of the scheduler's clock (10 ms).
pub(super) fn cpu_time_of(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may contain anything; numbers follow it.
    let (_, fields) = stat.rsplit_once(')').ok_or("no process state")?;
    let mut ticks = fields.split_ascii_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let (Some(Ok(user)), Some(Ok(system))) = (ticks.next(), ticks.next()) else {
        return Err(format!("process {pid} has no times").into());
    };
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64((user + system) as f64 / per_second as f64))
}

/// Memory that a process holds now, in bytes.
pub(super) fn resident(pid: u32) -> Result<u64> {
    status(pid, "VmRSS:")
}

/// The most memory that a process ever held, in bytes.
pub(super) fn peak(pid: u32) -> Result<u64> {
    // The kernel brings the peak up to date less often than what is held now.
    Ok(status(pid, "VmHWM:")?.max(resident(pid)?))
}

fn status(pid: u32, field: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kibibytes.map(|n| n * 1024).ok_or_else(|| format!("process {pid} has no {field}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_used_time() {
        let pid = std::process::id();
        assert!(resident(pid).unwrap() > 0 && peak(pid).unwrap() > 0);
        assert!(cpu_time_of(pid).is_ok());
        let before = cpu_time();
        std::hint::black_box((0..100_000).fold(0_u64, |a, b| std::hint::black_box(a ^ b)));
        assert!(cpu_time() > before);
    }
}
