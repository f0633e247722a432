//! Which gRPC code an error has: the one that tells the caller who must act.

use tonic::{Code, Status};
use tracing::error;

use super::gate::Denied;
use crate::{ledger::LedgerError, rotation::ControlError};

impl From<Denied> for Status {
    fn from(denied: Denied) -> Self {
        Self::permission_denied(denied.to_string())
    }
}

/// Never INTERNAL or UNKNOWN: somebody must act, and the code says who.
pub(super) fn refuse(error: &ControlError) -> Status {
    let code = match error {
        // The caller, in another way.
        ControlError::Refused(_) | ControlError::NoRing | ControlError::OtherCluster { .. } => {
            Code::FailedPrecondition
        }
        ControlError::Unfit(_) => Code::InvalidArgument,
        ControlError::Ledger(error) => of_ledger(error),
        // Whoever looks after the database.
        ControlError::Tampered(_) | ControlError::NoSuccessor(_) => Code::DataLoss,
        // Time, and whoever looks after the root.
        ControlError::Root(_)
        | ControlError::Unwrap(_)
        | ControlError::Closed { .. }
        | ControlError::RootAway(_)
        | ControlError::Random(_)
        | ControlError::Starting(_) => Code::Unavailable,
        ControlError::Draft(_) => Code::FailedPrecondition,
        ControlError::Shared(error) => return refuse(error),
    };
    if matches!(code, Code::DataLoss) || matches!(error, ControlError::Draft(_)) {
        error!(%error, "the admin API could not do what it was asked");
    }
    Status::new(code, error.to_string())
}

fn of_ledger(error: &LedgerError) -> Code {
    match error {
        LedgerError::Away(_) => Code::Unavailable,
        LedgerError::Moved { .. } | LedgerError::Fenced { .. } => Code::Aborted,
        LedgerError::Exists(_) => Code::AlreadyExists,
        LedgerError::Malformed { .. } => Code::DataLoss,
        LedgerError::NoCluster
        | LedgerError::NotMember(_)
        | LedgerError::Refused(_)
        | LedgerError::SchemaOlder { .. }
        | LedgerError::SchemaNewer { .. } => Code::FailedPrecondition,
    }
}
