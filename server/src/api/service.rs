use std::{pin::Pin, sync::Arc};

use envelope::RootId;
use proto::admin::{self, add_hold_request::End, admin_server::Admin};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_stream::Stream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Code, Request, Response, Status, Streaming};
use tracing::info;

use super::{
    answer,
    gate::{Action, Gate, Granted},
    refuse::refuse,
    stream,
};
use crate::{
    authority::Identity,
    ledger::{State, export},
    rotation::Act,
};

/// Longest text that goes into the audit chain, in bytes.
const MAX_TEXT: usize = 1024;
/// Records of one page.
const MAX_PAGE: u32 = 1000;
/// Streams at once: each may hold an answer of full size.
const MAX_STREAMS: usize = 16;
/// Imports at once: each holds a whole ledger.
const MAX_IMPORTS: usize = 1;

/// Calls at once that ask roots for every key: a remote root counts each of them.
const MAX_WITH_ROOTS: usize = 1;

/// The admin API: passes the gate, translates, asks the ring.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    gate: Arc<Gate>,
    streams: Arc<Semaphore>,
    imports: Arc<Semaphore>,
    roots: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Desk {
    pub(super) fn new(gate: Arc<Gate>, tasks: TaskTracker, stop: CancellationToken) -> Self {
        let streams = Arc::new(Semaphore::new(MAX_STREAMS));
        let imports = Arc::new(Semaphore::new(MAX_IMPORTS));
        let roots = Arc::new(Semaphore::new(MAX_WITH_ROOTS));
        Self { gate, streams, imports, roots, tasks, stop }
    }

    async fn pass<T>(&self, request: &Request<T>, action: Action) -> Result<Granted, Status> {
        let peer = request.extensions().get::<Identity>();
        let peer = peer.ok_or_else(|| Status::unauthenticated("who asks is not known"))?;
        Ok(self.gate.authorize(peer, action).await?)
    }

    fn with_roots(&self) -> Result<SemaphorePermit<'_>, Status> {
        let busy = "another command asks the root keys for every key: wait for it";
        self.roots.try_acquire().map_err(|_| Status::resource_exhausted(busy))
    }

    async fn state(&self, granted: &Granted) -> Result<State, Status> {
        self.gate.control(granted).state().await.map_err(|error| refuse(&error))
    }

    async fn act(&self, granted: &Granted, act: Act) -> Result<State, Status> {
        let done = self.gate.control(granted).act(granted.actor(), act).await;
        let (actor, action) = (granted.actor(), granted.action().as_str());
        match done {
            Ok(state) => {
                info!(actor, action, "done");
                Ok(state)
            }
            Err(error) => {
                info!(actor, action, %error, "not done");
                Err(refuse(&error))
            }
        }
    }

    async fn act_on_key(
        &self,
        granted: &Granted,
        version: u32,
        act: Act,
    ) -> Result<Option<admin::KeyVersion>, Status> {
        let state = self.act(granted, act).await?;
        Ok(state.version(version).map(|row| answer::key(&state, row)))
    }

    async fn act_on_run(&self, granted: &Granted, act: Act) -> Result<Option<admin::Run>, Status> {
        Ok(answer::newest_run(&self.act(granted, act).await?))
    }

    /// Feeds a stream from a task that holds a place for it.
    fn stream<T, F>(
        &self,
        granted: Granted,
        feed: impl FnOnce(stream::Feed<T>) -> F,
    ) -> Result<Response<Answers<T>>, Status>
    where
        T: Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let place = Arc::clone(&self.streams).try_acquire_owned();
        let place = place.map_err(|_| {
            Status::resource_exhausted("too many streams are open: close one, or try again later")
        })?;
        let control = self.gate.shared_control(&granted);
        let (feed, answers) = {
            let (to, answers) = stream::channel();
            (feed(stream::Feed { granted, control, stop: self.stop.clone(), to }), answers)
        };
        self.tasks.spawn(async move {
            feed.await;
            drop(place);
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// A text for the audit chain. Control characters would forge lines on the terminal of whoever reads it.
fn text(field: &str, text: String) -> Result<String, Status> {
    let wrong = |why| Err(Status::invalid_argument(format!("{field} {why}")));
    if text.trim().is_empty() {
        wrong("is empty: say why, the audit chain keeps it".into())
    } else if text.len() > MAX_TEXT {
        wrong(format!("has {} bytes, and can have {MAX_TEXT}", text.len()))
    } else if text.chars().any(char::is_control) {
        wrong("has a line break or another control character".into())
    } else {
        Ok(text)
    }
}

fn version(number: u32) -> Result<u32, Status> {
    if number == 0 { Err(Status::invalid_argument("version is missing")) } else { Ok(number) }
}

#[tonic::async_trait]
impl Admin for Desk {
    async fn list_keys(
        &self,
        request: Request<admin::ListKeysRequest>,
    ) -> Result<Response<admin::ListKeysResponse>, Status> {
        let granted = self.pass(&request, Action::ListKeys).await?;
        Ok(Response::new(answer::keys(&self.state(&granted).await?)))
    }

    async fn archive_key(
        &self,
        request: Request<admin::ArchiveKeyRequest>,
    ) -> Result<Response<admin::ArchiveKeyResponse>, Status> {
        let granted = self.pass(&request, Action::ArchiveKey).await?;
        let request = request.into_inner();
        let version = version(request.version)?;
        let act = Act::Archive { version, reason: text("reason", request.reason)? };
        let key = self.act_on_key(&granted, version, act).await?;
        Ok(Response::new(admin::ArchiveKeyResponse { key }))
    }

    async fn compromise_key(
        &self,
        request: Request<admin::CompromiseKeyRequest>,
    ) -> Result<Response<admin::CompromiseKeyResponse>, Status> {
        let granted = self.pass(&request, Action::CompromiseKey).await?;
        let request = request.into_inner();
        let version = version(request.version)?;
        let act = Act::Compromise { version, reason: text("reason", request.reason)? };
        let key = self.act_on_key(&granted, version, act).await?;
        Ok(Response::new(admin::CompromiseKeyResponse { key }))
    }

    async fn restore_key(
        &self,
        request: Request<admin::RestoreKeyRequest>,
    ) -> Result<Response<admin::RestoreKeyResponse>, Status> {
        let granted = self.pass(&request, Action::RestoreKey).await?;
        let request = request.into_inner();
        let version = version(request.version)?;
        let act = Act::Restore { version, reason: text("reason", request.reason)? };
        let key = self.act_on_key(&granted, version, act).await?;
        Ok(Response::new(admin::RestoreKeyResponse { key }))
    }

    async fn schedule_destroy(
        &self,
        request: Request<admin::ScheduleDestroyRequest>,
    ) -> Result<Response<admin::ScheduleDestroyResponse>, Status> {
        let granted = self.pass(&request, Action::ScheduleDestroy).await?;
        let request = request.into_inner();
        let version = version(request.version)?;
        let act = Act::ScheduleDestroy { version, wait: request.wait };
        let key = self.act_on_key(&granted, version, act).await?;
        Ok(Response::new(admin::ScheduleDestroyResponse { key }))
    }

    async fn cancel_destroy(
        &self,
        request: Request<admin::CancelDestroyRequest>,
    ) -> Result<Response<admin::CancelDestroyResponse>, Status> {
        let granted = self.pass(&request, Action::CancelDestroy).await?;
        let version = version(request.into_inner().version)?;
        let key = self.act_on_key(&granted, version, Act::CancelDestroy { version }).await?;
        Ok(Response::new(admin::CancelDestroyResponse { key }))
    }

    async fn destroy_key(
        &self,
        request: Request<admin::DestroyKeyRequest>,
    ) -> Result<Response<admin::DestroyKeyResponse>, Status> {
        let granted = self.pass(&request, Action::DestroyKey).await?;
        let request = request.into_inner();
        let version = version(request.version)?;
        let state = self.state(&granted).await?;
        // A number is easily mistyped, and this cannot be undone.
        if state.version(version).is_none_or(|row| row.id.as_str() != request.id) {
            return Err(Status::failed_precondition(format!(
                "version {version} is not {:?}: list the keys, and give the id of the one to destroy",
                request.id
            )));
        }
        let key = self.act_on_key(&granted, version, Act::Destroy { version }).await?;
        Ok(Response::new(admin::DestroyKeyResponse { key }))
    }

    async fn list_holds(
        &self,
        request: Request<admin::ListHoldsRequest>,
    ) -> Result<Response<admin::ListHoldsResponse>, Status> {
        let granted = self.pass(&request, Action::ListHolds).await?;
        let state = self.state(&granted).await?;
        let holds = state.holds.iter().map(answer::hold).collect();
        Ok(Response::new(admin::ListHoldsResponse { now: state.now, holds }))
    }

    async fn add_hold(
        &self,
        request: Request<admin::AddHoldRequest>,
    ) -> Result<Response<admin::AddHoldResponse>, Status> {
        let granted = self.pass(&request, Action::AddHold).await?;
        let admin::AddHoldRequest { first, last, end, reason } = request.into_inner();
        let reason = text("reason", reason)?;
        let until = match end {
            Some(End::Until(until)) => until,
            Some(End::Lasting(seconds)) => self.state(&granted).await?.now.saturating_add(seconds),
            None => {
                return Err(Status::invalid_argument("until is missing: say when the hold ends"));
            }
        };
        let state = self.act(&granted, Act::AddHold { first, last, until, reason }).await?;
        let hold = state.holds.last().map(answer::hold);
        Ok(Response::new(admin::AddHoldResponse { hold }))
    }

    async fn release_hold(
        &self,
        request: Request<admin::ReleaseHoldRequest>,
    ) -> Result<Response<admin::ReleaseHoldResponse>, Status> {
        let granted = self.pass(&request, Action::ReleaseHold).await?;
        let admin::ReleaseHoldRequest { id, reason } = request.into_inner();
        let act = Act::ReleaseHold { id, reason: text("reason", reason)? };
        let state = self.act(&granted, act).await?;
        let hold = state.holds.iter().find(|row| row.id == id).map(answer::hold);
        Ok(Response::new(admin::ReleaseHoldResponse { hold }))
    }

    async fn plan_rotation(
        &self,
        request: Request<admin::PlanRotationRequest>,
    ) -> Result<Response<admin::PlanRotationResponse>, Status> {
        let granted = self.pass(&request, Action::PlanRotation).await?;
        let planned = self.gate.control(&granted).plan().await.map_err(|error| refuse(&error))?;
        Ok(Response::new(answer::plan(&planned)))
    }

    async fn start_rotation(
        &self,
        request: Request<admin::StartRotationRequest>,
    ) -> Result<Response<admin::StartRotationResponse>, Status> {
        let granted = self.pass(&request, Action::StartRotation).await?;
        let admin::StartRotationRequest { reason, compromised } = request.into_inner();
        let trigger = if compromised { "compromise" } else { "manual" };
        let act = Act::Begin { trigger, reason: text("reason", reason)? };
        let run = self.act_on_run(&granted, act).await?;
        Ok(Response::new(admin::StartRotationResponse { run }))
    }

    async fn pause_rotation(
        &self,
        request: Request<admin::PauseRotationRequest>,
    ) -> Result<Response<admin::PauseRotationResponse>, Status> {
        let granted = self.pass(&request, Action::PauseRotation).await?;
        let reason = text("reason", request.into_inner().reason)?;
        let run = self.act_on_run(&granted, Act::Pause { reason }).await?;
        Ok(Response::new(admin::PauseRotationResponse { run }))
    }

    async fn resume_rotation(
        &self,
        request: Request<admin::ResumeRotationRequest>,
    ) -> Result<Response<admin::ResumeRotationResponse>, Status> {
        let granted = self.pass(&request, Action::ResumeRotation).await?;
        let run = self.act_on_run(&granted, Act::Resume).await?;
        Ok(Response::new(admin::ResumeRotationResponse { run }))
    }

    async fn cancel_rotation(
        &self,
        request: Request<admin::CancelRotationRequest>,
    ) -> Result<Response<admin::CancelRotationResponse>, Status> {
        let granted = self.pass(&request, Action::CancelRotation).await?;
        let reason = text("reason", request.into_inner().reason)?;
        let run = self.act_on_run(&granted, Act::Cancel { reason }).await?;
        Ok(Response::new(admin::CancelRotationResponse { run }))
    }

    async fn rotation_status(
        &self,
        request: Request<admin::RotationStatusRequest>,
    ) -> Result<Response<admin::RotationStatusResponse>, Status> {
        let granted = self.pass(&request, Action::RotationStatus).await?;
        let planned = self.gate.control(&granted).plan().await.map_err(|error| refuse(&error))?;
        let rotation = Some(answer::rotation(&planned));
        Ok(Response::new(admin::RotationStatusResponse { rotation }))
    }

    type WatchRotationStream = Answers<admin::WatchRotationResponse>;

    async fn watch_rotation(
        &self,
        request: Request<admin::WatchRotationRequest>,
    ) -> Result<Response<Self::WatchRotationStream>, Status> {
        let granted = self.pass(&request, Action::WatchRotation).await?;
        self.stream(granted, stream::watch)
    }

    async fn list_replicas(
        &self,
        request: Request<admin::ListReplicasRequest>,
    ) -> Result<Response<admin::ListReplicasResponse>, Status> {
        let granted = self.pass(&request, Action::ListReplicas).await?;
        let state = self.state(&granted).await?;
        let replicas = state.replicas.iter().map(|row| answer::replica(&state, row)).collect();
        Ok(Response::new(admin::ListReplicasResponse { now: state.now, replicas }))
    }

    async fn remove_replica(
        &self,
        request: Request<admin::RemoveReplicaRequest>,
    ) -> Result<Response<admin::RemoveReplicaResponse>, Status> {
        let granted = self.pass(&request, Action::RemoveReplica).await?;
        let admin::RemoveReplicaRequest { name, reason } = request.into_inner();
        let replica = text("name", name)?;
        let reason = text("reason", reason)?;
        let act = Act::RemoveReplica { replica: replica.clone(), reason };
        let state = self.act(&granted, act).await?;
        let row = state.replicas.iter().find(|row| row.name == replica);
        let replica = row.map(|row| answer::replica(&state, row));
        Ok(Response::new(admin::RemoveReplicaResponse { replica }))
    }

    async fn list_roots(
        &self,
        request: Request<admin::ListRootsRequest>,
    ) -> Result<Response<admin::ListRootsResponse>, Status> {
        let granted = self.pass(&request, Action::ListRoots).await?;
        let custody = self.gate.control(&granted).roots().await.map_err(|error| refuse(&error))?;
        let custody = Some(answer::custody(&custody));
        Ok(Response::new(admin::ListRootsResponse { custody }))
    }

    async fn check_roots(
        &self,
        request: Request<admin::CheckRootsRequest>,
    ) -> Result<Response<admin::CheckRootsResponse>, Status> {
        let granted = self.pass(&request, Action::CheckRoots).await?;
        let _turn = self.with_roots()?;
        let checked = self.gate.control(&granted).check_roots().await;
        let (custody, tried) = checked.map_err(|error| refuse(&error))?;
        let tried = tried.into_iter().map(answer::tried).collect();
        let custody = Some(answer::custody(&custody));
        Ok(Response::new(admin::CheckRootsResponse { custody, tried }))
    }

    async fn rewrap_keys(
        &self,
        request: Request<admin::RewrapKeysRequest>,
    ) -> Result<Response<admin::RewrapKeysResponse>, Status> {
        let granted = self.pass(&request, Action::RewrapKeys).await?;
        let _turn = self.with_roots()?;
        let dry_run = request.into_inner().dry_run;
        let done = self.gate.control(&granted).rewrap(granted.actor(), dry_run).await;
        let done = done.map_err(|error| refuse(&error))?;
        let (actor, keys) = (granted.actor(), done.made.len());
        info!(
            actor,
            keys,
            failed = done.failed.len(),
            dry_run,
            "keys were wrapped under more roots"
        );
        Ok(Response::new(answer::rewrapped(&done)))
    }

    async fn remove_root(
        &self,
        request: Request<admin::RemoveRootRequest>,
    ) -> Result<Response<admin::RemoveRootResponse>, Status> {
        let granted = self.pass(&request, Action::RemoveRoot).await?;
        let _turn = self.with_roots()?;
        let admin::RemoveRootRequest { root, reason } = request.into_inner();
        let reason = text("reason", reason)?;
        let root = RootId::parse(&root).map_err(|_| {
            Status::invalid_argument("root is not 12 hexadecimal digits: strongroom roots list")
        })?;
        let done = self.gate.control(&granted).remove_root(granted.actor(), root, reason).await;
        let custody = done.map_err(|error| refuse(&error))?;
        info!(actor = granted.actor(), %root, "a root key was removed");
        let custody = Some(answer::custody(&custody));
        Ok(Response::new(admin::RemoveRootResponse { custody }))
    }

    async fn list_audit(
        &self,
        request: Request<admin::ListAuditRequest>,
    ) -> Result<Response<admin::ListAuditResponse>, Status> {
        let granted = self.pass(&request, Action::ListAudit).await?;
        let admin::ListAuditRequest { after, limit, newest } = request.into_inner();
        let limit = if limit == 0 { MAX_PAGE } else { limit.min(MAX_PAGE) };
        let total = self.state(&granted).await?.head.audit_seq;
        let after = if newest { total.saturating_sub(limit.into()) } else { after };
        let page = self.gate.control(&granted).audit(after, limit).await;
        let page = page.map_err(|error| refuse(&error))?;
        let records = page.into_iter().map(answer::record).collect();
        Ok(Response::new(admin::ListAuditResponse { records, total }))
    }

    type ExportAuditStream = Answers<admin::ExportAuditResponse>;

    async fn export_audit(
        &self,
        request: Request<admin::ExportAuditRequest>,
    ) -> Result<Response<Self::ExportAuditStream>, Status> {
        let granted = self.pass(&request, Action::ExportAudit).await?;
        self.stream(granted, stream::export_audit)
    }

    type ExportLedgerStream = Answers<admin::ExportLedgerResponse>;

    async fn export_ledger(
        &self,
        request: Request<admin::ExportLedgerRequest>,
    ) -> Result<Response<Self::ExportLedgerStream>, Status> {
        let granted = self.pass(&request, Action::ExportLedger).await?;
        self.stream(granted, stream::export_ledger)
    }

    async fn import_ledger(
        &self,
        request: Request<Streaming<admin::ImportLedgerRequest>>,
    ) -> Result<Response<admin::ImportLedgerResponse>, Status> {
        let granted = self.pass(&request, Action::ImportLedger).await?;
        let _place = self
            .imports
            .try_acquire()
            .map_err(|_| Status::resource_exhausted("another import is under way: wait for it"))?;
        let mut pieces = request.into_inner();
        let mut reader = export::Reader::default();
        while let Some(piece) = pieces.message().await.map_err(peers_fault)? {
            reader.push(&piece.chunk).map_err(not_an_export)?;
        }
        let dump = reader.finish().map_err(not_an_export)?;
        // In a task of its own: once it is begun it is finished and recorded, whether the caller stays or not.
        let (control, actor) = (self.gate.shared_control(&granted), granted.actor().to_owned());
        let state = tokio::spawn(async move { control.import(&actor, dump).await }).await;
        let state = state.map_err(|_| Status::unavailable("the daemon is stopping: ask again"))?;
        let state = state.map_err(|error| refuse(&error))?;
        info!(actor = granted.actor(), "a ledger was imported");
        Ok(Response::new(admin::ImportLedgerResponse {
            cluster: state.cluster.id.to_string(),
            ring: state.ring.as_str().into(),
            generation: state.head.generation,
            versions: state.versions.len() as u32,
            records: state.head.audit_seq,
        }))
    }

    async fn adopt(
        &self,
        request: Request<admin::AdoptRequest>,
    ) -> Result<Response<admin::AdoptResponse>, Status> {
        let granted = self.pass(&request, Action::Adopt).await?;
        let state = self.gate.control(&granted).adopt(granted.actor()).await;
        let state = state.map_err(|error| refuse(&error))?;
        info!(
            actor = granted.actor(),
            generation = state.head.generation,
            "the bundle of this node was adopted"
        );
        Ok(Response::new(admin::AdoptResponse {
            cluster: state.cluster.id.to_string(),
            ring: state.ring.as_str().into(),
            generation: state.head.generation,
            active: state.active().map(|row| row.id.as_str().into()).unwrap_or_default(),
        }))
    }
}

fn not_an_export(error: export::ExportError) -> Status {
    Status::invalid_argument(error.to_string())
}

/// A stream that breaks or does not parse is never our fault.
fn peers_fault(status: Status) -> Status {
    match status.code() {
        Code::Internal | Code::Unknown => Status::invalid_argument(status.message()),
        Code::OutOfRange => Status::resource_exhausted(status.message()),
        _ => status,
    }
}
