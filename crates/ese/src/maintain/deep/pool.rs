//! A few threads for many independent tasks.

use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex, thread};

/// Runs `task` for every number below `count` on up to `threads` threads; results in order of the numbers.
pub(super) fn run<T, F>(threads: usize, count: usize, task: F) -> Vec<T>
where
    T: Send + 'static,
    F: Fn(usize) -> T + Send + Sync + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let results: Arc<Mutex<Vec<Option<T>>>> = Arc::new(Mutex::new((0..count).map(|_| None).collect()));
    let task = Arc::new(task);
    let work = {
        let (next, results) = (next.clone(), results.clone());
        move || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return;
                }
                let result = task(number);
                if let Some(place) = results.lock().get_mut(number) {
                    *place = Some(result);
                }
            }
        }
    };
    // This thread works, too; where the system has no threads left it does everything.
    let helpers: Vec<_> = (1..threads.min(count))
        .filter_map(|number| thread::spawn(&format!("check {number}"), work.clone()).ok())
        .collect();
    work();
    for helper in helpers {
        if let Err(panic) = helper.join() {
            std::panic::resume_unwind(panic);
        }
    }
    let results = std::mem::take(&mut *results.lock());
    results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::run;

    #[test]
    fn results_come_in_order() {
        for threads in [0, 1, 3, 50] {
            assert_eq!(run(threads, 20, |n| n * n), (0..20).map(|n| n * n).collect::<Vec<_>>());
        }
        assert_eq!(run(4, 0, |n| n), []);
    }
}
