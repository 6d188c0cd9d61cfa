//! The backends of a VIP, and which of them gets the next connection: of those that are up the one with the fewest connections, in
//! turn among equals; one that just failed a connection only if there is no other.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use super::{
    backend::{Backend, Lease},
    health::Status,
};

/// The backends of a VIP.
#[derive(Default)]
pub(crate) struct Pool {
    backends: Mutex<Vec<Arc<Backend>>>,
    turn: AtomicUsize,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Backend>>> {
        self.backends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Backend>> {
        self.lock().clone()
    }

    pub(crate) fn add(&self, backend: Arc<Backend>) {
        self.lock().push(backend);
    }

    /// Takes those away that are not to stay. They get no connection after this returns.
    pub(crate) fn remove(&self, mut stays: impl FnMut(&Backend) -> bool) -> Vec<Arc<Backend>> {
        let mut backends = self.lock();
        let (stay, gone) = backends.drain(..).partition(|it: &Arc<Backend>| stays(it));
        *backends = stay;
        gone
    }

    /// The backend that gets the next connection, which is counted from here on; none of those that were tried.
    pub(crate) fn choose(&self, tried: &[Arc<Backend>]) -> Option<Lease> {
        let backends = self.lock();
        let start = self.turn.fetch_add(1, Ordering::Relaxed) % backends.len().max(1);
        let in_turn = backends[start..].iter().chain(&backends[..start]);
        let best = in_turn
            .filter(|it| !tried.iter().any(|tried| Arc::ptr_eq(tried, it)))
            .filter_map(|it| {
                let health = it.health();
                (health.status == Status::Up).then_some((health.suspect, it.open(), it))
            })
            .min_by_key(|(suspect, open, _)| (*suspect, *open));
        best.map(|(_, _, backend)| backend.lease())
    }
}

#[cfg(test)]
mod tests {
    use rebar_model::{ResourceId, Span};

    use super::*;

    fn pool(ups: &[bool]) -> Pool {
        let pool = Pool::default();
        for (at, up) in ups.iter().enumerate() {
            let id = ResourceId(format!("d/backend@n{at}").parse().unwrap());
            let backend = Backend::new(id, ([127, 0, 0, 1], 1).into(), Span::default());
            if *up {
                backend.health().observe(Ok(()));
            }
            pool.add(Arc::new(backend));
        }
        pool
    }

    fn at(lease: &Lease) -> char {
        lease.backend.id.to_string().chars().last().unwrap()
    }

    #[test]
    fn the_least_busy_one_is_chosen_and_equals_in_turn() {
        let pool = pool(&[true, true, true]);
        let mut leases: Vec<Lease> = (0..3).map(|_| pool.choose(&[]).unwrap()).collect();
        let mut first: Vec<char> = leases.iter().map(at).collect();
        first.sort_unstable();
        assert_eq!(first, ['0', '1', '2']);
        let freed = at(&leases.remove(1));
        assert_eq!(at(&pool.choose(&[]).unwrap()), freed);
    }

    #[test]
    fn suspects_come_last_and_who_is_not_up_never() {
        let pool = pool(&[true, true, false]);
        pool.all()[0].suspect("refused".into());
        assert_eq!(at(&pool.choose(&[]).unwrap()), '1');
        let tried = vec![pool.all()[1].clone()];
        assert_eq!(at(&pool.choose(&tried).unwrap()), '0');
        assert!(pool.choose(&pool.all()).is_none());
    }
}
