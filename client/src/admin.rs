//! What strongroomd's admin API is asked: the way to it, why it says no, and each command in a file of its own.

pub(crate) mod audit;
pub(crate) mod hold;
pub(crate) mod keys;
pub(crate) mod ledger;
mod reach;
pub(crate) mod replicas;
pub(crate) mod roots;
pub(crate) mod rotate;

use std::{error::Error, path::PathBuf, time::Duration};

use clap::Args;
use proto::admin::admin_client::AdminClient;
use tonic::{Code, Request, Response, Status, transport::Channel};

use self::reach::Reach;
use crate::{failure::Failure, output::plain, process::runtime};

/// The daemon gives up after 30 seconds and says so; it shall be the first.
const DEADLINE: Duration = Duration::from_secs(35);
/// A page of audit records, or a ring of some thousand versions.
const MAX_ANSWER: usize = 16 << 20;

/// Which daemon to ask.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Admin API")]
pub(crate) struct Connection {
    /// Where strongroomd serves its admin API: the path of its socket, or https://HOST:PORT
    #[arg(
        long,
        global = true,
        value_name = "PATH|URL",
        env = "STRONGROOM_ADMIN",
        default_value = "/run/strongroom/admin.sock",
        hide_env_values = true
    )]
    pub(crate) admin: reach::Target,
    /// Your certificate, PEM (https)
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "STRONGROOM_CERT",
        hide_env_values = true
    )]
    pub(crate) cert: Option<PathBuf>,
    /// Its key, PEM (https)
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "STRONGROOM_KEY",
        hide_env_values = true
    )]
    pub(crate) key: Option<PathBuf>,
    /// The authority of the daemon's certificate, PEM (https)
    #[arg(long, global = true, value_name = "FILE", env = "STRONGROOM_CA", hide_env_values = true)]
    pub(crate) ca: Option<PathBuf>,
}

/// A daemon that answers questions.
pub(crate) struct Admin {
    pub(crate) grpc: AdminClient<Channel>,
    reach: Reach,
}

impl Connection {
    /// Connects when the first question is asked.
    pub(crate) fn open(&self) -> Result<Admin, Failure> {
        let reach = Reach::new(self)?;
        let grpc = AdminClient::new(reach.channel()).max_decoding_message_size(MAX_ANSWER);
        Ok(Admin { grpc, reach })
    }

    /// Runs `work` with a daemon to ask.
    pub(crate) fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut Admin) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        runtime()?.block_on(async { work(&mut self.open()?).await })
    }
}

impl Admin {
    /// Waits for an answer; `what` names what could not be done.
    pub(crate) async fn ask<T>(
        &self,
        what: &str,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(DEADLINE, answer).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(self.explain(what, &status)),
            Err(_) => Err(Failure::new(
                what,
                format!("{} did not answer within {DEADLINE:?}", self.reach.target()),
                "look at the daemon's log and CPU; restart it if it hangs",
            )
            .unreachable()),
        }
    }

    /// Why the daemon says no, and what to do about it.
    pub(crate) fn explain(&self, what: &str, status: &Status) -> Failure {
        if let Some(failure) = self.reach.trouble() {
            return failure;
        }
        let why = plain(status.message());
        let of = |next: &str| Failure::new(what, why.clone(), next);
        match status.code() {
            Code::PermissionDenied => of("ask whoever runs strongroomd for that permission; the refusal stands in the audit chain"),
            Code::Unauthenticated => of("use the daemon's socket, or https with --cert and --key"),
            Code::FailedPrecondition => of("do what it says, then run the command again; `strongroom rotate status` and `strongroom keys list` show where things stand"),
            Code::InvalidArgument => of("mend the command, and run it again"),
            Code::AlreadyExists => of("nothing was changed; give the daemon an empty ledger if this is what you want"),
            Code::Aborted => of("nothing was changed by this command; run it again"),
            Code::DataLoss => of("serving goes on with the last good keys. Find out who can write to the ledger's database, then restore it"),
            Code::ResourceExhausted => of("wait a moment, and run the command again"),
            Code::Unimplemented => of("the daemon is older than this command line: update strongroomd"),
            Code::DeadlineExceeded => of("whether it was done is not known: look with `strongroom rotate status`, then try again").unreachable(),
            Code::Unavailable => of("serving goes on meanwhile. Look at the daemon's log and at its ledger, then run the command again").unreachable(),
            _ => self.broken(what, status),
        }
    }
}

impl Admin {
    /// The connection broke under the call. Over TLS 1.3 this is also how a daemon refuses a certificate.
    fn broken(&self, what: &str, status: &Status) -> Failure {
        let mut why = format!("the connection to {} broke", self.reach.target());
        let mut cause = Error::source(status);
        while let Some(error) = cause {
            why += &format!(": {error}");
            cause = error.source();
        }
        let next = match self.reach.target() {
            reach::Target::Https { .. } => {
                "--cert must come from the authority of api.tls.client_ca_file, and be for clients; the daemon's log says what it refused"
            }
            reach::Target::Socket(_) => "look at the daemon's log, then run the command again",
        };
        Failure::new(what, plain(&why), next).unreachable()
    }
}

/// A question that gives up a moment after the daemon would.
pub(crate) fn question<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}
