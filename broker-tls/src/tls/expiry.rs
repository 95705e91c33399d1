//! Telling of certificates before they end.

use crate::ends::DAY;
use crate::{CertificateEnd, Tls};
use std::pin::pin;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, timeout};

impl Tls {
    /// When the certificates that are in use end, the own ones first. There are none where keys are
    /// pinned or nobody proves anything.
    #[must_use]
    pub fn ends(&self) -> Vec<CertificateEnd> {
        self.0.material.load().ends()
    }

    /// The [warnings](CertificateEnd::warning) about them.
    #[must_use]
    pub fn expiring(&self, now: SystemTime) -> Vec<String> {
        self.ends().iter().filter_map(|end| end.warning(now)).collect()
    }

    /// Tells of them once a day until something is over, beginning after a day.
    pub async fn tell_of_ends(&self, over: impl Future<Output = ()>, tell: impl Fn(String)) {
        let mut over = pin!(over);
        let (clock, began) = (SystemTime::now(), Instant::now());
        while timeout(Duration::from_secs(DAY), &mut over).await.is_err() {
            // A clock that was not set when this began counts once it is.
            let now = SystemTime::now().max(clock + began.elapsed());
            self.expiring(now).into_iter().for_each(&tell);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TlsOptions;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use std::cell::RefCell;
    use std::path::Path;
    use tokio::time::sleep;

    /// Certificates whose own one ends in so many days and a half.
    fn certificates(directory: &Path, days: u64) -> Tls {
        let name = |name| {
            let mut params = CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            params
        };
        let mut params = name("ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = name("own");
        let left = Duration::from_secs(days * DAY + DAY / 2);
        params.not_after = (SystemTime::now() + left).into();
        let own = params.signed_by(&key, &ca).unwrap();
        let file = |name, text: String| {
            let path = directory.join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        Tls::new(TlsOptions {
            certificate: file("own.pem", own.pem()),
            key: file("key.pem", key.serialize_pem()),
            ca_file: file("ca.pem", ca.pem()),
            ..TlsOptions::default()
        })
        .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_certificate_is_told_of_once_a_day_from_14_days_before_its_end_on() {
        let directory = tempfile::tempdir().unwrap();
        let tls = certificates(directory.path(), 16);
        let ends = tls.ends();
        let shown: Vec<_> = ends.iter().map(|end| (end.role, &*end.subject)).collect();
        assert_eq!(shown, [("own", "CN=own"), ("ca", "CN=ca")]);
        assert_eq!(tls.expiring(SystemTime::now()), Vec::<String>::new());
        let told = RefCell::new(Vec::new());
        let began = Instant::now();
        let over = sleep(Duration::from_secs(18 * DAY + DAY / 4));
        tls.tell_of_ends(over, |text| {
            let days = (began.elapsed().as_secs_f64() / DAY as f64).round() as u64;
            told.borrow_mut().push((days, text));
        })
        .await;
        let told = told.into_inner();
        let days: Vec<_> = told.iter().map(|(day, _)| *day).collect();
        assert_eq!(days, (3..=18).collect::<Vec<_>>());
        let own = format!("the own certificate \"CN=own\" in {}", directory.path().display());
        assert!(told[0].1.starts_with(&format!("{own}/own.pem ends in 13 days, at ")), "{told:?}");
        assert!(told[12].1.contains(" ends in 1 day, at ") && told[13].1.contains(" hours, at "));
        assert!(told[14].1.contains(" expired at ") && told[14].1.ends_with("put a new one there"));
    }
}
