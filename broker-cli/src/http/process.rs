//! Metrics of the process, by the names that they have in all programs.

use super::Certificates;
use metrics::{counter, describe_counter, describe_gauge, gauge};
use std::time::{SystemTime, UNIX_EPOCH};

const CERTIFICATE: &str = "broker_certificate_expiry_timestamp_seconds";

impl Certificates {
    /// Of several with one name the one counts that ends first.
    fn record(&self) {
        #[cfg(any(feature = "tls", feature = "quic"))]
        {
            let mut ends = self.tls.iter().flat_map(|tls| tls.ends()).collect::<Vec<_>>();
            ends.sort_by_key(|end| std::cmp::Reverse(end.at));
            for end in ends {
                let at = end.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
                gauge!(CERTIFICATE, "role" => end.role, "subject" => end.subject).set(at);
            }
        }
    }
}

/// The features that are compiled in, for people who ask what a program can do.
pub(crate) fn features() -> String {
    let features = [
        ("quic", cfg!(feature = "quic")),
        ("tcp", cfg!(feature = "tcp")),
        ("tls", cfg!(feature = "tls")),
        ("ws", cfg!(feature = "ws")),
    ];
    let built: Vec<_> =
        features.iter().filter(|(_, built)| *built).map(|(name, _)| *name).collect();
    built.join(",")
}

/// Describes the metrics, and returns when the process has started, in seconds since 1970.
pub(super) fn describe() -> f64 {
    describe_gauge!("broker_build_info", "The version and the features of this program");
    describe_gauge!("process_start_time_seconds", "Start of the process since 1970 in seconds");
    describe_gauge!("process_resident_memory_bytes", "Resident memory in bytes");
    describe_gauge!("process_open_fds", "Open descriptors");
    describe_gauge!("process_max_fds", "The most descriptors that may be open");
    describe_gauge!(CERTIFICATE, "When a certificate in use ends, in seconds since 1970");
    describe_counter!("process_cpu_seconds_total", "Whole seconds of processor time");
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Records how it is now, as far as the system tells.
pub(super) fn record(start: f64, certificates: &Certificates) {
    certificates.record();
    gauge!("broker_build_info", "version" => env!("CARGO_PKG_VERSION"), "features" => features())
        .set(1.0);
    gauge!("process_start_time_seconds").set(start);
    #[cfg(target_os = "linux")]
    linux();
}

#[cfg(target_os = "linux")]
fn linux() {
    use rustix::process::{Resource, getrlimit};
    use rustix::time::{ClockId, clock_gettime};
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.and_then(|text| text.trim().strip_suffix("kB")?.trim().parse().ok());
        if let Some(kib) = kib {
            let kib: f64 = kib;
            gauge!("process_resident_memory_bytes").set(kib * 1024.0);
        }
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // One of them is that of this look.
        gauge!("process_open_fds").set(open.count().saturating_sub(1) as f64);
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        gauge!("process_max_fds").set(most as f64);
    }
    let used = clock_gettime(ClockId::ProcessCPUTime);
    counter!("process_cpu_seconds_total").absolute(u64::try_from(used.tv_sec).unwrap_or_default());
}
