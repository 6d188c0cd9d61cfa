//! Who may come in now, and when the others may come back. Asked before a byte is read: a handshake costs a thousand times as much
//! as a refusal. Who is in is never asked again. The time is an argument.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rebar_proto::notice;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;

use crate::limits::{COME_BACK_FIRST, COME_BACK_LAST, LINGER, LINGERING, Limits};

/// The answer to a connection.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Come in; what is held until the agent has been welcomed.
    Come(OwnedSemaphorePermit),
    /// Come back after so long.
    Later(Duration),
}

/// How many came to the door so far.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// Who came in.
    pub admitted: AtomicU64,
    /// Who was told to come back.
    pub sent_away: AtomicU64,
    /// The most that were coming in at one time.
    pub most_at_once: AtomicUsize,
}

/// The gate of the door.
#[derive(Debug)]
pub(crate) struct Admission {
    most: usize,
    arrivals: Arc<Semaphore>,
    lingering: Arc<Semaphore>,
    pace: Mutex<Pace>,
    seen: Arc<Arrivals>,
}

/// How many come in a second, and when the next who is sent away is to come back.
#[derive(Debug)]
struct Pace {
    per_second: f64,
    burst: f64,
    tokens: f64,
    filled_at: Instant,
    booked_until: Instant,
}

impl Admission {
    pub(crate) fn new(limits: &Limits, seen: Arc<Arrivals>, now: Instant) -> Self {
        Self {
            most: limits.arrivals,
            seen,
            arrivals: Arc::new(Semaphore::new(limits.arrivals)),
            lingering: Arc::new(Semaphore::new(LINGERING)),
            pace: Mutex::new(Pace::new(limits.arrivals, limits.arrivals_per_second, now)),
        }
    }

    /// Whether a connection may come in.
    pub(crate) fn ask(&self, now: Instant) -> Answer {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let permit = self.arrivals.clone().try_acquire_owned().ok();
        let Some(permit) = permit.filter(|_| pace.take(now)) else {
            self.seen.sent_away.fetch_add(1, Ordering::Relaxed);
            return Answer::Later(pace.book(now));
        };
        self.seen.admitted.fetch_add(1, Ordering::Relaxed);
        let coming = self.most.saturating_sub(self.arrivals.available_permits());
        self.seen.most_at_once.fetch_max(coming, Ordering::Relaxed);
        Answer::Come(permit)
    }

    /// Tells a connection when to come back. When too many are being told, it is just closed.
    pub(crate) fn send_away(&self, mut tcp: TcpStream, after: Duration, tasks: &TaskTracker) {
        let Ok(permit) = self.lingering.clone().try_acquire_owned() else { return };
        tasks.spawn(async move {
            let told = async {
                tcp.write_all(notice(after).as_bytes()).await?;
                tcp.shutdown().await?;
                // To close a connection on which something unread has arrived is to reset it, and the notice would be lost with it.
                let mut rest = [0; 1024];
                while tcp.read(&mut rest).await? > 0 {}
                std::io::Result::Ok(())
            };
            // Whether it arrived is the other side's business.
            let _ = timeout(LINGER, told).await;
            drop(permit);
        });
    }
}

impl Pace {
    fn new(burst: usize, per_second: u32, now: Instant) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
        let burst = burst.max(1) as f64;
        Self { per_second: f64::from(per_second.max(1)), burst, tokens: burst, filled_at: now, booked_until: now }
    }

    /// Takes one of the places of this second, if any is left.
    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
        let is_free = self.tokens >= 1.0;
        if is_free {
            self.tokens -= 1.0;
        }
        is_free
    }

    /// The next moment for which nobody has been booked. When all up to the last are, those that follow share them from the first on.
    fn book(&mut self, now: Instant) -> Duration {
        let first = now + COME_BACK_FIRST;
        if self.booked_until < first || self.booked_until > now + COME_BACK_LAST {
            self.booked_until = first;
        }
        let after = self.booked_until.saturating_duration_since(now);
        self.booked_until += Duration::from_secs_f64(1.0 / self.per_second);
        after
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn so_many_come_in_a_second_and_the_others_are_spread() {
        let now = Instant::now();
        let mut pace = Pace::new(10, 100, now);
        assert_eq!((0..50).filter(|_| pace.take(now)).count(), 10, "the burst");
        let told: Vec<_> = (0..200).map(|_| pace.book(now)).collect();
        assert_eq!(told[0], COME_BACK_FIRST);
        let apart = told[199].saturating_sub(told[100]);
        assert!(apart.abs_diff(Duration::from_millis(990)) < Duration::from_millis(5), "{apart:?} for 99 places");
        // Who comes when told finds a place.
        for after in told {
            assert!(pace.take(now + after), "{after:?}");
        }
    }

    #[test]
    fn nobody_is_sent_away_for_longer_than_the_longest() {
        let now = Instant::now();
        let mut pace = Pace::new(1, 1, now);
        let told: Vec<_> = (0..1_000).map(|_| pace.book(now)).collect();
        assert!(told.iter().all(|after| (COME_BACK_FIRST..=COME_BACK_LAST).contains(after)));
        assert!(told.iter().filter(|after| **after == COME_BACK_FIRST).count() > 1, "the places are shared");
    }

    #[tokio::test]
    async fn only_so_many_are_under_way_at_one_time() {
        let limits = Limits { arrivals: 2, ..Limits::default() };
        let now = Instant::now();
        let seen = Arc::new(Arrivals::default());
        let admission = Admission::new(&limits, seen.clone(), now);
        let (Answer::Come(first), Answer::Come(_second)) = (admission.ask(now), admission.ask(now)) else {
            panic!("there is room for two")
        };
        let later = now + Duration::from_secs(1);
        assert!(matches!(admission.ask(later), Answer::Later(_)));
        drop(first);
        assert!(matches!(admission.ask(later), Answer::Come(_)));
        let seen = [seen.admitted.load(Ordering::Relaxed), seen.sent_away.load(Ordering::Relaxed)];
        assert_eq!(seen, [3, 1]);
    }

    /// What a connection that is sent away hears, and its end of it.
    async fn heard(admission: &Admission, listener: &TcpListener, tasks: &TaskTracker) -> (String, TcpStream) {
        let mut theirs = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        admission.send_away(listener.accept().await.unwrap().0, COME_BACK_FIRST, tasks);
        let mut said = String::new();
        theirs.read_to_string(&mut said).await.unwrap();
        (said, theirs)
    }

    #[tokio::test]
    async fn so_many_are_told_at_one_time_and_the_others_hear_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admission = Admission::new(&Limits::default(), Arc::default(), Instant::now());
        let (tasks, others) = (TaskTracker::new(), u32::try_from(LINGERING - 1).unwrap());
        let _others = admission.lingering.clone().try_acquire_many_owned(others).unwrap();
        tasks.close();
        for _ in 0..2 {
            let (said, lingers) = heard(&admission, &listener, &tasks).await;
            assert_eq!(said, notice(COME_BACK_FIRST));
            assert_eq!(heard(&admission, &listener, &tasks).await.0, "");
            // Its place is free when it has gone.
            drop(lingers);
            tasks.wait().await;
        }
    }
}
