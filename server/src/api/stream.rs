//! Answers that take more than one message. Each is fed by a task of its own that ends with its reader, or with the daemon.

use std::{sync::Arc, time::Duration};

use proto::admin::{self, export_audit_response::Part};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{answer, gate::Granted, refuse::refuse};
use crate::{
    ledger::export,
    rotation::{Control, ControlError},
};

/// How long a change may go unnoticed where nothing wakes us.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Shortest time between two looks, however often something wakes us.
const LOOK_AFTER: Duration = Duration::from_millis(200);
/// A reader that takes nothing for this long is gone.
const PATIENCE: Duration = Duration::from_secs(60);
/// Records that are read at once.
const PAGE: u32 = 500;
/// Bytes of one piece of an export.
const CHUNK: usize = 256 << 10;

/// What a stream is made from, and where it goes.
pub(super) struct Feed<T> {
    pub(super) granted: Granted,
    pub(super) control: Arc<dyn Control>,
    pub(super) stop: CancellationToken,
    pub(super) to: mpsc::Sender<Answer<T>>,
}

type Answer<T> = Result<T, Status>;

pub(super) fn channel<T>() -> (mpsc::Sender<Answer<T>>, ReceiverStream<Answer<T>>) {
    let (to, from) = mpsc::channel(1);
    (to, ReceiverStream::new(from))
}

/// The reader is gone, or takes nothing.
struct Gone;

impl<T> Feed<T> {
    async fn send(&self, answer: T) -> Result<(), Gone> {
        match timeout(PATIENCE, self.to.send(Ok(answer))).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }

    /// The last message.
    async fn fail(&self, status: Status) {
        // A reader that is gone needs none.
        let _ = timeout(PATIENCE, self.to.send(Err(status))).await;
    }

    /// Runs `work` until it is done, the daemon stops or the reader goes.
    async fn run(&self, work: impl Future<Output = Result<(), Ended>>) {
        tokio::select! {
            () = self.to.closed() => {}
            () = self.stop.cancelled() => {
                // A reader that is slow must not keep a daemon from stopping.
                let _ = self.to.try_send(Err(Status::unavailable(
                    "the daemon is stopping: ask again in a moment",
                )));
            }
            done = work => if let Err(Ended::Refused(status)) = done {
                self.fail(status).await;
            }
        }
    }
}

enum Ended {
    Refused(Status),
    Gone,
}

impl From<ControlError> for Ended {
    fn from(error: ControlError) -> Self {
        Self::Refused(refuse(&error))
    }
}

impl From<Gone> for Ended {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

pub(super) async fn watch(feed: Feed<admin::WatchRotationResponse>) {
    let work = async {
        let mut last = None;
        loop {
            let rotation = answer::rotation(&feed.control.plan().await?);
            let lasting = without_clocks(rotation.clone());
            if last.as_ref() != Some(&lasting) {
                last = Some(lasting);
                feed.send(admin::WatchRotationResponse { rotation: Some(rotation) }).await?;
            }
            // Only a wake-up, which may never come.
            let _ = timeout(LOOK_EVERY, feed.control.changed()).await;
            sleep(LOOK_AFTER).await;
        }
    };
    feed.run(work).await;
}

/// What moves with every look is no change.
fn without_clocks(mut rotation: admin::Rotation) -> admin::Rotation {
    rotation.now = 0;
    rotation.replicas.iter_mut().for_each(|replica| replica.reported = replica.reported.map(|_| 0));
    if let Some(leader) = &mut rotation.leader {
        leader.until = 0;
    }
    rotation
}

pub(super) async fn export_audit(feed: Feed<admin::ExportAuditResponse>) {
    let send = async |part| feed.send(admin::ExportAuditResponse { part: Some(part) }).await;
    let work = async {
        // Before the head: a checkpoint that is signed meanwhile may name a record that the head does not have yet.
        let checkpoints = feed.control.checkpoints().await?;
        let state = feed.control.state().await?;
        let records = state.head.audit_seq;
        send(Part::Header(admin::AuditHeader {
            cluster: state.cluster.id.to_string(),
            ring: state.ring.as_str().into(),
            public_key: feed.control.public_key().to_vec(),
            records,
        }))
        .await?;
        let mut after = 0;
        while after < records {
            let page = feed.control.audit(after, PAGE).await?;
            // What is missing at the end is for whoever verifies to find.
            let Some((last, _)) = page.last() else { break };
            after = last.seq;
            for row in page.into_iter().filter(|(record, _)| record.seq <= records) {
                send(Part::Record(answer::record(row))).await?;
            }
        }
        for checkpoint in &checkpoints {
            send(Part::Checkpoint(answer::checkpoint(checkpoint))).await?;
        }
        Ok(())
    };
    feed.run(work).await;
}

pub(super) async fn export_ledger(feed: Feed<admin::ExportLedgerResponse>) {
    let work = async {
        // In a task of its own: that it was asked for is recorded, whether the reader stays or not.
        let (control, actor) = (Arc::clone(&feed.control), feed.granted.actor().to_owned());
        let dump = tokio::spawn(async move { control.dump(&actor).await }).await;
        let dump = dump.map_err(|_| Ended::Gone)??;
        let refused =
            |error: export::ExportError| Ended::Refused(Status::aborted(error.to_string()));
        let mut chunk = Vec::with_capacity(CHUNK);
        for line in export::lines(&dump).map_err(refused)? {
            for piece in line.as_bytes().chunks(CHUNK) {
                if chunk.len() + piece.len() > CHUNK {
                    let full = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK));
                    feed.send(admin::ExportLedgerResponse { chunk: full }).await?;
                }
                chunk.extend_from_slice(piece);
            }
        }
        feed.send(admin::ExportLedgerResponse { chunk }).await?;
        Ok(())
    };
    feed.run(work).await;
}
