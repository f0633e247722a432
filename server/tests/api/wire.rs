//! A served API, and ways to it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use hyper_util::rt::TokioIo;
use prost::Message;
use proto::admin::{self, add_hold_request::End, admin_client::AdminClient};
use strongroomd::{
    api::{self, Action, Allowed, Doors, Gate},
    config::Config,
    kms::Calls,
    metrics::Metrics,
};
use tempfile::TempDir;
use tokio::{net::UnixStream, task::JoinHandle};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use crate::fake::Fake;

pub(crate) type Client = AdminClient<Channel>;

pub(crate) struct Served {
    pub(crate) fake: Arc<Fake>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) socket: PathBuf,
    pub(crate) address: Option<std::net::SocketAddr>,
    pub(crate) stop: CancellationToken,
    pub(crate) ended: JoinHandle<Result<(), api::ServeError>>,
    pub(crate) _folder: TempDir,
}

/// Serves with `settings` of `[api]` beside its socket.
pub(crate) async fn serve(settings: &str) -> Served {
    serve_in(tempfile::tempdir().unwrap(), settings).await
}

pub(crate) async fn serve_in(folder: TempDir, settings: &str) -> Served {
    let socket = folder.path().join("run/admin.sock");
    let config = format!(
        "[kms]\nsocket = \"/kms.sock\"\n[bundle]\ndir = \"/\"\n[[roots]]\nkind = \"local\"\nfile = \"/r\"\n\
         [api]\nsocket = {socket:?}\n{settings}"
    );
    let config = Config::parse(&config).unwrap().api.unwrap();
    let doors = Doors::open(&config).await.unwrap();
    let (fake, metrics) = (Arc::new(Fake::new()), Arc::new(Metrics::new()));
    let gate = Gate::new(Allowed::new(config.allow.as_deref()), fake.clone());
    let (stop, address) = (CancellationToken::new(), doors.address());
    let serving = api::serve(doors, gate, Calls::default(), metrics.clone(), stop.clone());
    let ended = tokio::spawn(serving);
    Served { fake, metrics, socket, address, stop, ended, _folder: folder }
}

impl Served {
    pub(crate) fn client(&self) -> Client {
        AdminClient::new(channel(&self.socket)).max_decoding_message_size(16 << 20)
    }
}

pub(crate) fn channel(socket: &Path) -> Channel {
    let socket = socket.to_owned();
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://localhost").connect_with_connector_lazy(connector)
}

/// Asks for `action` as somebody reasonable would, and gives all that came back as it lies on the wire.
pub(crate) async fn ask(client: &mut Client, action: Action) -> Result<Vec<u8>, Status> {
    let reason = || "because of a test".to_owned();
    macro_rules! unary {
        ($method:ident, $request:expr) => {
            client.$method($request).await.map(|answer| answer.into_inner().encode_to_vec())
        };
    }
    macro_rules! stream {
        ($method:ident, $request:expr, $take:expr) => {{
            let mut answers = client.$method($request).await?.into_inner().take($take);
            let mut all = Vec::new();
            while let Some(answer) = answers.next().await {
                all.extend(answer?.encode_to_vec());
            }
            Ok(all)
        }};
    }
    match action {
        Action::ListKeys => unary!(list_keys, admin::ListKeysRequest {}),
        Action::ArchiveKey => {
            unary!(archive_key, admin::ArchiveKeyRequest { version: 1, reason: reason() })
        }
        Action::CompromiseKey => {
            unary!(compromise_key, admin::CompromiseKeyRequest { version: 1, reason: reason() })
        }
        Action::RestoreKey => {
            unary!(restore_key, admin::RestoreKeyRequest { version: 1, reason: reason() })
        }
        Action::ScheduleDestroy => {
            unary!(schedule_destroy, admin::ScheduleDestroyRequest { version: 1, wait: 604_800 })
        }
        Action::CancelDestroy => unary!(cancel_destroy, admin::CancelDestroyRequest { version: 1 }),
        Action::DestroyKey => {
            let id = crate::ring::genesis().rows.versions[0].id.as_str().into();
            unary!(destroy_key, admin::DestroyKeyRequest { version: 1, id })
        }
        Action::ListHolds => unary!(list_holds, admin::ListHoldsRequest {}),
        Action::AddHold => {
            let end = Some(End::Lasting(60));
            let request = admin::AddHoldRequest { first: None, last: None, end, reason: reason() };
            unary!(add_hold, request)
        }
        Action::ReleaseHold => {
            unary!(release_hold, admin::ReleaseHoldRequest { id: 1, reason: reason() })
        }
        Action::PlanRotation => unary!(plan_rotation, admin::PlanRotationRequest {}),
        Action::StartRotation => {
            let request = admin::StartRotationRequest { reason: reason(), compromised: false };
            unary!(start_rotation, request)
        }
        Action::PauseRotation => {
            unary!(pause_rotation, admin::PauseRotationRequest { reason: reason() })
        }
        Action::ResumeRotation => unary!(resume_rotation, admin::ResumeRotationRequest {}),
        Action::CancelRotation => {
            unary!(cancel_rotation, admin::CancelRotationRequest { reason: reason() })
        }
        Action::RotationStatus => unary!(rotation_status, admin::RotationStatusRequest {}),
        Action::WatchRotation => stream!(watch_rotation, admin::WatchRotationRequest {}, 1),
        Action::ListReplicas => unary!(list_replicas, admin::ListReplicasRequest {}),
        Action::RemoveReplica => {
            let request = admin::RemoveReplicaRequest { name: "cp-1".into(), reason: reason() };
            unary!(remove_replica, request)
        }
        Action::ListRoots => unary!(list_roots, admin::ListRootsRequest {}),
        Action::CheckRoots => unary!(check_roots, admin::CheckRootsRequest {}),
        Action::RewrapKeys => unary!(rewrap_keys, admin::RewrapKeysRequest { dry_run: false }),
        Action::RemoveRoot => {
            let request =
                admin::RemoveRootRequest { root: "726f6f742d31".into(), reason: reason() };
            unary!(remove_root, request)
        }
        Action::ListAudit => unary!(list_audit, admin::ListAuditRequest::default()),
        Action::ExportAudit => stream!(export_audit, admin::ExportAuditRequest {}, 1000),
        Action::ExportLedger => stream!(export_ledger, admin::ExportLedgerRequest {}, 1000),
        Action::ImportLedger => import(client, &crate::ring::lived()).await,
        Action::Adopt => unary!(adopt, admin::AdoptRequest {}),
    }
}

async fn import(client: &mut Client, dump: &strongroomd::ledger::Dump) -> Result<Vec<u8>, Status> {
    let text: String = strongroomd::ledger::export::lines(dump).unwrap().collect();
    let pieces = text.as_bytes().chunks(1000);
    let pieces: Vec<_> =
        pieces.map(|piece| admin::ImportLedgerRequest { chunk: piece.to_vec() }).collect();
    let answer = client.import_ledger(tokio_stream::iter(pieces)).await?;
    Ok(answer.into_inner().encode_to_vec())
}
