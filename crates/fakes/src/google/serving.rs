//! Where the server runs: a task of the caller's runtime, or a thread with a runtime of its own. Ends it when dropped.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Shared, server};

/// A running server.
#[derive(Debug)]
pub(super) enum Serving {
    Task(JoinHandle<()>),
    /// Both are taken when it ends.
    Thread(Option<oneshot::Sender<()>>, Option<thread::JoinHandle<()>>),
}

impl Serving {
    /// On the runtime that the caller runs on.
    pub(super) fn task(listener: TcpListener, shared: Arc<Shared>) -> io::Result<Self> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        Ok(Self::Task(tokio::spawn(server::run(listener, shared))))
    }

    /// On a thread of its own.
    pub(super) fn thread(listener: TcpListener, shared: Arc<Shared>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let thread = thread::Builder::new().name("google-fake".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = server::run(listener, shared) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self::Thread(Some(stop), Some(thread)))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        match self {
            Self::Task(task) => task.abort(),
            Self::Thread(stop, thread) => {
                drop(stop.take());
                // A thread that panicked is gone as well.
                let _ = thread.take().map(thread::JoinHandle::join);
            }
        }
    }
}
