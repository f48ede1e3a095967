//! Events go up, answers do not: the one way in which lower rooms tell what happens.

/// Receives events; cannot answer. Called from any thread, so it must be quick.
pub trait Observer<E>: Sync {
    /// Takes note of `event`.
    fn notify(&self, event: E);
}

impl<E, F: Fn(E) + Sync> Observer<E> for F {
    fn notify(&self, event: E) {
        self(event);
    }
}
