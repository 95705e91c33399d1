//! Dialling a name that has several addresses, as RFC 8305 ("Happy Eyeballs") has it: an address
//! that does not answer holds up the others for a moment only.

use broker_core::Reason;
use broker_core::transport::TransportError;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long the newest attempt is waited for before the next address is tried beside it.
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to the address that accepts first. The families take turns, beginning with that of the
/// first address, and otherwise the order is kept. The next address is tried when an attempt has
/// failed, or has not succeeded within 250 ms. When one has succeeded the others are dropped.
///
/// Cancel safe if `dial` is: dropping the future drops all attempts.
///
/// # Errors
///
/// No address accepted. The message has the reason of each in the order in which they were tried,
/// and the kind is that of the most telling one.
pub(crate) async fn dial_first<C, D, F>(
    addresses: &[SocketAddr],
    doing: &str,
    dial: D,
) -> Result<C, TransportError>
where
    D: Fn(SocketAddr, String) -> F,
    F: Future<Output = Result<C, TransportError>>,
{
    let addresses = interleaved(addresses);
    let mut untried = addresses.iter().enumerate();
    let mut attempts: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    let mut failures: Vec<(usize, TransportError)> = Vec::new();
    loop {
        let is_last = match untried.next() {
            Some((at, address)) => {
                attempts.push((at, Box::pin(dial(*address, address.to_string()))));
                untried.len() == 0
            }
            None => true,
        };
        if attempts.is_empty() {
            break;
        }
        let head_start = Instant::now() + HEAD_START;
        tokio::select! {
            biased;
            (at, outcome) = first_done(&mut attempts) => match outcome {
                Ok(connection) => return Ok(connection),
                Err(failure) => failures.push((at, failure)),
            },
            () = sleep_until(head_start), if !is_last => {}
        }
    }
    failures.sort_by_key(|(at, _)| *at);
    let failures: Vec<_> = failures.into_iter().map(|(_, failure)| failure).collect();
    Err(all_failed(doing, &failures))
}

/// The addresses with their families taking turns, each in its order.
fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_family = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, others): (Vec<_>, Vec<_>) = addresses
        .iter()
        .copied()
        .partition(|address: &SocketAddr| address.is_ipv6() == first_family);
    let (mut preferred, mut others) = (preferred.into_iter(), others.into_iter());
    let mut all = Vec::with_capacity(addresses.len());
    while all.len() < addresses.len() {
        all.extend(preferred.next());
        all.extend(others.next());
    }
    all
}

/// Waits until one of the attempts is done, and takes it out. Cancel safe.
async fn first_done<F: Future>(attempts: &mut Vec<(usize, Pin<Box<F>>)>) -> (usize, F::Output) {
    std::future::poll_fn(|cx| {
        let done = attempts.iter_mut().enumerate().find_map(|(index, (at, attempt))| match attempt
            .as_mut()
            .poll(cx)
        {
            Poll::Ready(outcome) => Some((index, *at, outcome)),
            Poll::Pending => None,
        });
        let Some((index, at, outcome)) = done else { return Poll::Pending };
        attempts.remove(index);
        Poll::Ready((at, outcome))
    })
    .await
}

/// One error for a name none of whose addresses accepted: all texts, and the reason that says most.
fn all_failed(doing: &str, failures: &[TransportError]) -> TransportError {
    let reason = failures.iter().map(TransportError::reason).min_by_key(|reason| rank(*reason));
    let texts: Vec<String> = failures.iter().map(ToString::to_string).collect();
    TransportError::new(reason.unwrap_or(Reason::Io), format!("{doing}: {}", texts.join("; ")))
}

/// An address that answered says more than one that did not, and that more than a missing route,
/// which is normal for one of the two IP versions. What is wrong at this side comes first.
fn rank(reason: Reason) -> u8 {
    match reason {
        Reason::OutOfResources => 0,
        Reason::PermissionDenied => 1,
        Reason::Refused => 2,
        Reason::Reset => 3,
        Reason::TimedOut => 4,
        Reason::Io => 5,
        _ => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tokio::time::sleep;

    const MS: Duration = Duration::from_millis(1);

    fn addresses<const N: usize>(hosts: [&str; N]) -> Vec<SocketAddr> {
        hosts.iter().map(|host| SocketAddr::new(host.parse().unwrap(), 1)).collect()
    }

    /// Dials addresses whose attempts take as many milliseconds as `answers` says and then succeed,
    /// or fail with a reason. Returns the outcome, and which was tried when.
    async fn race(
        hosts: &[SocketAddr],
        answers: &[(u32, Result<(), Reason>)],
    ) -> (Result<SocketAddr, TransportError>, Vec<(u128, SocketAddr)>) {
        let (start, tried) = (Instant::now(), Mutex::new(Vec::new()));
        let outcome = dial_first(hosts, "connecting", |address, doing| {
            tried.lock().unwrap().push((start.elapsed().as_millis(), address));
            let at = hosts.iter().position(|host| *host == address).unwrap();
            let (time, answer) = answers[at];
            async move {
                sleep(MS * time).await;
                let failure = |kind| TransportError::new(kind, format!("{doing}: {kind:?}"));
                answer.map(|()| address).map_err(failure)
            }
        })
        .await;
        (outcome, tried.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_does_not_answer_holds_up_the_next_one_for_a_moment_only() {
        let hosts = addresses(["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
        let silent = (3000, Err(Reason::TimedOut));
        let start = Instant::now();
        let (outcome, tried) = race(&hosts, &[silent, silent, (10, Ok(()))]).await;
        assert_eq!(outcome.unwrap(), hosts[2]);
        assert_eq!(tried, [(0, hosts[0]), (250, hosts[1]), (500, hosts[2])]);
        assert_eq!(start.elapsed(), 510 * MS);
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_address_is_tried_at_once_when_one_fails_and_none_when_one_answers() {
        let hosts = addresses(["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
        let refusing = (20, Err(Reason::Refused));
        let (outcome, tried) = race(&hosts, &[refusing, (200, Ok(())), (0, Ok(()))]).await;
        assert_eq!(outcome.unwrap(), hosts[1]);
        assert_eq!(tried, [(0, hosts[0]), (20, hosts[1])]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_first_address_still_wins_if_it_answers_first() {
        let hosts = addresses(["192.0.2.1", "192.0.2.2"]);
        let (outcome, tried) = race(&hosts, &[(300, Ok(())), (100, Ok(()))]).await;
        assert_eq!(outcome.unwrap(), hosts[0]);
        assert_eq!(tried.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn all_are_waited_for_before_it_fails_and_all_reasons_are_told_in_order() {
        let hosts = addresses(["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
        let answers = [
            (3000, Err(Reason::TimedOut)),
            (10, Err(Reason::Refused)),
            (20, Err(Reason::Unreachable)),
        ];
        let error = race(&hosts, &answers).await.0.unwrap_err();
        assert_eq!(error.reason(), Reason::Refused);
        assert_eq!(
            error.to_string(),
            "connecting: 192.0.2.1:1: TimedOut; 192.0.2.2:1: Refused; 192.0.2.3:1: Unreachable"
        );
    }

    #[test]
    fn families_take_turns_beginning_with_the_first() {
        let mixed = addresses(["2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1"]);
        let expected = addresses(["2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3"]);
        assert_eq!(interleaved(&mixed), expected);
        let mixed = addresses(["192.0.2.1", "2001:db8::1", "2001:db8::2"]);
        assert_eq!(interleaved(&mixed), mixed);
    }

    #[test]
    fn the_most_telling_reason_gives_the_kind_and_all_are_in_the_message() {
        let unreachable = TransportError::new(Reason::Unreachable, "[2001:db8::1]:1: no route");
        let silent = TransportError::new(Reason::TimedOut, "192.0.2.1:1: no answer within 3s");
        let refused = TransportError::new(Reason::Refused, "192.0.2.2:1: connection refused");
        let error = all_failed("connecting to tcp://host:1", &[unreachable, silent, refused]);
        assert_eq!(error.reason(), Reason::Refused);
        assert_eq!(
            error.to_string(),
            "connecting to tcp://host:1: [2001:db8::1]:1: no route; \
             192.0.2.1:1: no answer within 3s; 192.0.2.2:1: connection refused"
        );
    }
}
