//! A daemon that answers what a test put into it, and remembers what it was asked.

use std::{
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex},
};

use proto::admin::{
    self as api,
    admin_server::{Admin, AdminServer},
};
use tempfile::TempDir;
use tokio::{net::UnixListener, runtime::Runtime};
use tokio_stream::{Stream, StreamExt as _, wrappers::UnixListenerStream};
use tonic::{Request, Response, Status, Streaming, transport::Server};

#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) keys: api::ListKeysResponse,
    pub(crate) holds: api::ListHoldsResponse,
    pub(crate) plan: api::PlanRotationResponse,
    /// What a watch sees, one after the other; a status sees the first.
    pub(crate) rotations: Vec<api::Rotation>,
    pub(crate) replicas: api::ListReplicasResponse,
    pub(crate) custody: api::Custody,
    pub(crate) tried: Vec<api::TriedKey>,
    pub(crate) rewrapped: Vec<api::RewrappedKey>,
    pub(crate) audit: Vec<api::ExportAuditResponse>,
    pub(crate) export: Vec<Vec<u8>>,
    /// Every question is answered with it.
    pub(crate) refusal: Option<Status>,
}

pub(crate) struct Serving {
    pub(crate) folder: TempDir,
    pub(crate) socket: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
    _runtime: Runtime,
}

impl Serving {
    /// Every change that was asked for, as it came.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// Serves on a socket of its own until it is dropped.
pub(crate) fn serve(answers: Answers) -> Serving {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("admin.sock");
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let service = AdminServer::new(Daemon { answers, asked: asked.clone() });
    let runtime = Runtime::new().unwrap();
    let entered = runtime.enter();
    let incoming = UnixListenerStream::new(UnixListener::bind(&socket).unwrap());
    runtime.spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    drop(entered);
    Serving { folder, socket, asked, _runtime: runtime }
}

struct Daemon {
    answers: Answers,
    asked: Arc<Mutex<Vec<String>>>,
}

type All<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Daemon {
    fn answer<T>(&self, answer: T) -> Result<Response<T>, Status> {
        self.answers.refusal.clone().map_or(Ok(Response::new(answer)), Err)
    }

    fn note<T: std::fmt::Debug>(&self, request: Request<T>) {
        self.asked.lock().unwrap().push(format!("{:?}", request.into_inner()));
    }

    fn all<T: Send + 'static>(&self, answers: Vec<T>) -> Result<Response<All<T>>, Status> {
        self.answer(Box::pin(tokio_stream::iter(answers).map(Ok)))
    }

    fn run(&self) -> Option<api::Run> {
        self.answers.rotations.first().and_then(|rotation| rotation.run.clone())
    }

    fn key(&self) -> Option<api::KeyVersion> {
        self.answers.keys.rings.first().and_then(|ring| ring.versions.first()).cloned()
    }
}

#[tonic::async_trait]
impl Admin for Daemon {
    async fn list_keys(
        &self,
        _: Request<api::ListKeysRequest>,
    ) -> Result<Response<api::ListKeysResponse>, Status> {
        self.answer(self.answers.keys.clone())
    }

    async fn compromise_key(
        &self,
        request: Request<api::CompromiseKeyRequest>,
    ) -> Result<Response<api::CompromiseKeyResponse>, Status> {
        self.note(request);
        self.answer(api::CompromiseKeyResponse { key: self.key() })
    }

    async fn archive_key(
        &self,
        request: Request<api::ArchiveKeyRequest>,
    ) -> Result<Response<api::ArchiveKeyResponse>, Status> {
        self.note(request);
        self.answer(api::ArchiveKeyResponse { key: self.key() })
    }

    async fn restore_key(
        &self,
        request: Request<api::RestoreKeyRequest>,
    ) -> Result<Response<api::RestoreKeyResponse>, Status> {
        self.note(request);
        self.answer(api::RestoreKeyResponse { key: self.key() })
    }

    async fn schedule_destroy(
        &self,
        request: Request<api::ScheduleDestroyRequest>,
    ) -> Result<Response<api::ScheduleDestroyResponse>, Status> {
        self.note(request);
        self.answer(api::ScheduleDestroyResponse { key: self.key() })
    }

    async fn cancel_destroy(
        &self,
        request: Request<api::CancelDestroyRequest>,
    ) -> Result<Response<api::CancelDestroyResponse>, Status> {
        self.note(request);
        self.answer(api::CancelDestroyResponse { key: self.key() })
    }

    async fn destroy_key(
        &self,
        request: Request<api::DestroyKeyRequest>,
    ) -> Result<Response<api::DestroyKeyResponse>, Status> {
        self.note(request);
        self.answer(api::DestroyKeyResponse { key: self.key() })
    }

    async fn add_hold(
        &self,
        request: Request<api::AddHoldRequest>,
    ) -> Result<Response<api::AddHoldResponse>, Status> {
        self.note(request);
        self.answer(api::AddHoldResponse { hold: self.answers.holds.holds.first().cloned() })
    }

    async fn release_hold(
        &self,
        request: Request<api::ReleaseHoldRequest>,
    ) -> Result<Response<api::ReleaseHoldResponse>, Status> {
        self.note(request);
        self.answer(api::ReleaseHoldResponse { hold: None })
    }

    async fn start_rotation(
        &self,
        request: Request<api::StartRotationRequest>,
    ) -> Result<Response<api::StartRotationResponse>, Status> {
        self.note(request);
        self.answer(api::StartRotationResponse { run: self.run() })
    }

    async fn pause_rotation(
        &self,
        request: Request<api::PauseRotationRequest>,
    ) -> Result<Response<api::PauseRotationResponse>, Status> {
        self.note(request);
        self.answer(api::PauseRotationResponse { run: self.run() })
    }

    async fn resume_rotation(
        &self,
        request: Request<api::ResumeRotationRequest>,
    ) -> Result<Response<api::ResumeRotationResponse>, Status> {
        self.note(request);
        self.answer(api::ResumeRotationResponse { run: self.run() })
    }

    async fn cancel_rotation(
        &self,
        request: Request<api::CancelRotationRequest>,
    ) -> Result<Response<api::CancelRotationResponse>, Status> {
        self.note(request);
        self.answer(api::CancelRotationResponse { run: self.run() })
    }

    async fn remove_replica(
        &self,
        request: Request<api::RemoveReplicaRequest>,
    ) -> Result<Response<api::RemoveReplicaResponse>, Status> {
        self.note(request);
        self.answer(api::RemoveReplicaResponse { replica: None })
    }

    async fn list_holds(
        &self,
        _: Request<api::ListHoldsRequest>,
    ) -> Result<Response<api::ListHoldsResponse>, Status> {
        self.answer(self.answers.holds.clone())
    }

    async fn plan_rotation(
        &self,
        _: Request<api::PlanRotationRequest>,
    ) -> Result<Response<api::PlanRotationResponse>, Status> {
        self.answer(self.answers.plan.clone())
    }

    async fn rotation_status(
        &self,
        _: Request<api::RotationStatusRequest>,
    ) -> Result<Response<api::RotationStatusResponse>, Status> {
        let rotation = self.answers.rotations.first().cloned();
        self.answer(api::RotationStatusResponse { rotation })
    }

    type WatchRotationStream = All<api::WatchRotationResponse>;

    async fn watch_rotation(
        &self,
        _: Request<api::WatchRotationRequest>,
    ) -> Result<Response<Self::WatchRotationStream>, Status> {
        let rotations = self.answers.rotations.iter().cloned();
        let changes =
            rotations.map(|rotation| api::WatchRotationResponse { rotation: Some(rotation) });
        self.all(changes.collect())
    }

    async fn list_replicas(
        &self,
        _: Request<api::ListReplicasRequest>,
    ) -> Result<Response<api::ListReplicasResponse>, Status> {
        self.answer(self.answers.replicas.clone())
    }

    async fn list_roots(
        &self,
        _: Request<api::ListRootsRequest>,
    ) -> Result<Response<api::ListRootsResponse>, Status> {
        self.answer(api::ListRootsResponse { custody: Some(self.answers.custody.clone()) })
    }

    async fn check_roots(
        &self,
        request: Request<api::CheckRootsRequest>,
    ) -> Result<Response<api::CheckRootsResponse>, Status> {
        self.note(request);
        let (custody, tried) = (Some(self.answers.custody.clone()), self.answers.tried.clone());
        self.answer(api::CheckRootsResponse { custody, tried })
    }

    async fn rewrap_keys(
        &self,
        request: Request<api::RewrapKeysRequest>,
    ) -> Result<Response<api::RewrapKeysResponse>, Status> {
        self.note(request);
        let (custody, keys) = (Some(self.answers.custody.clone()), self.answers.rewrapped.clone());
        self.answer(api::RewrapKeysResponse { custody, keys })
    }

    async fn remove_root(
        &self,
        request: Request<api::RemoveRootRequest>,
    ) -> Result<Response<api::RemoveRootResponse>, Status> {
        self.note(request);
        self.answer(api::RemoveRootResponse { custody: Some(self.answers.custody.clone()) })
    }

    async fn list_audit(
        &self,
        request: Request<api::ListAuditRequest>,
    ) -> Result<Response<api::ListAuditResponse>, Status> {
        self.note(request);
        let records = self.answers.audit.iter().filter_map(|answer| match &answer.part {
            Some(api::export_audit_response::Part::Record(record)) => Some(record.clone()),
            _ => None,
        });
        let records: Vec<_> = records.collect();
        self.answer(api::ListAuditResponse { total: records.len() as u64, records })
    }

    type ExportAuditStream = All<api::ExportAuditResponse>;

    async fn export_audit(
        &self,
        _: Request<api::ExportAuditRequest>,
    ) -> Result<Response<Self::ExportAuditStream>, Status> {
        self.all(self.answers.audit.clone())
    }

    type ExportLedgerStream = All<api::ExportLedgerResponse>;

    async fn export_ledger(
        &self,
        _: Request<api::ExportLedgerRequest>,
    ) -> Result<Response<Self::ExportLedgerStream>, Status> {
        let pieces = self.answers.export.iter().cloned();
        self.all(pieces.map(|chunk| api::ExportLedgerResponse { chunk }).collect())
    }

    async fn import_ledger(
        &self,
        request: Request<Streaming<api::ImportLedgerRequest>>,
    ) -> Result<Response<api::ImportLedgerResponse>, Status> {
        let mut pieces = request.into_inner();
        let mut text = Vec::new();
        while let Some(piece) = pieces.message().await? {
            text.extend(piece.chunk);
        }
        self.asked.lock().unwrap().push(String::from_utf8(text).unwrap());
        self.answer(api::ImportLedgerResponse {
            cluster: "07".repeat(16),
            ring: "etcd".into(),
            generation: 3,
            versions: 2,
            records: 9,
        })
    }

    async fn adopt(
        &self,
        request: Request<api::AdoptRequest>,
    ) -> Result<Response<api::AdoptResponse>, Status> {
        self.note(request);
        self.answer(api::AdoptResponse {
            cluster: "07".repeat(16),
            ring: "etcd".into(),
            generation: 4,
            active: "etcd/v2/0123456789ab".into(),
        })
    }
}
