//! Why the program stops, with an exit code for each reason that a script or a unit file may want to tell apart.

use std::{fmt::Write, io, net::SocketAddr, path::PathBuf};

use crate::{
    config::ConfigError,
    init::InitError,
    keyring::LoadError,
    kms::BindError,
    ledger::LedgerError,
    root::{FileError, OpenRootError, UnwrapError},
    rotation::ControlError,
};

/// Why the program stops. The message says what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The socket.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The address of the admin pages.
    #[error(
        "admin.listen {address} cannot be bound: {source}. Choose another address in the configuration"
    )]
    Admin {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Where the admin API is served.
    #[error(transparent)]
    Api(#[from] crate::api::OpenError),
    /// A root key.
    #[error(transparent)]
    Root(#[from] OpenRootError),
    /// The bundle.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Initialisation.
    #[error(transparent)]
    Init(#[from] InitError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What is missing to track rotation.
    #[error("{0}")]
    Rotation(String),
    /// The folder of `dev`.
    #[error("the folder {}: {source}", path.display())]
    Dev {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system refused something basic.
    #[error("the system refused {what}: {source}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A part of the daemon ended by itself.
    #[error("{part} ended: {reason}")]
    Ended {
        /// Which part.
        part: &'static str,
        /// Why.
        reason: String,
    },
    /// A second signal, or the deadline, cut the drain short.
    #[error("calls were still under way when {0}")]
    Cut(&'static str),
}

/// Exit codes and what they mean, for the help text. 0 is success, 2 wrong usage.
const CODES: &[(u8, &str)] = &[
    (1, "the system refused something basic, or a part of the daemon ended by itself"),
    (2, "wrong usage"),
    (10, "the configuration is wrong"),
    (11, "nothing is initialised: run strongroomd init"),
    (12, "another daemon serves the socket"),
    (13, "the socket or the admin address cannot be bound"),
    (20, "the root key is missing"),
    (
        21,
        "the root key file is refused (mode, owner, length), or a root key stands in the configuration twice",
    ),
    (22, "the root key is another one than the bundle's"),
    (23, "the root key did not do its work; where it is remote: start again when it answers"),
    (30, "the bundle cannot be read"),
    (31, "the bundle is damaged"),
    (32, "the bundle is not authentic"),
    (33, "the bundle would go back to what was before one that was accepted"),
    (40, "calls were still under way when the drain was cut short"),
    (50, "the ledger does not answer"),
    (51, "the schema of the ledger is older or newer than this program"),
    (52, "what lies in the ledger cannot be used: changed by hand, old, or another cluster's"),
];

impl Failure {
    /// The exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::System { .. } | Self::Ended { .. } | Self::Dev { .. } => 1,
            Self::Config(_) => 10,
            Self::Bind(BindError::Served { .. }) => 12,
            Self::Bind(_) | Self::Admin { .. } | Self::Api(_) => 13,
            Self::Root(error) => root_code(error),
            Self::Load(error) => load_code(error),
            Self::Init(error) => match error {
                InitError::Root(error) => root_code(error),
                InitError::RootMissing { .. } => 20,
                InitError::RootKept { .. } => 11,
                InitError::Wrap(_) | InitError::RootAway(_) => 23,
                InitError::Load(error) => load_code(error),
                InitError::Ledger(error) => ledger_code(error),
                InitError::Control(error) => control_code(error),
                InitError::FirstVersion => 2,
                _ => 1,
            },
            Self::Cut(_) => 40,
            Self::Ledger(error) => ledger_code(error),
            Self::Rotation(_) => 10,
        }
    }

    /// The table of exit codes for the help text.
    #[must_use]
    pub fn table() -> String {
        CODES.iter().fold(String::from("Exit codes:\n"), |mut text, (code, meaning)| {
            let _ = writeln!(text, "  {code:<3} {meaning}");
            text
        })
    }
}

fn ledger_code(error: &LedgerError) -> u8 {
    match error {
        LedgerError::Away(_) => 50,
        LedgerError::SchemaOlder { .. } | LedgerError::SchemaNewer { .. } => 51,
        _ => 52,
    }
}

fn control_code(error: &ControlError) -> u8 {
    match error {
        ControlError::Ledger(error) => ledger_code(error),
        ControlError::Unwrap(error) | ControlError::Closed { source: error, .. } => {
            if matches!(error, UnwrapError::OtherRoot { .. }) { 22 } else { 23 }
        }
        ControlError::Root(_) | ControlError::RootAway(_) => 23,
        _ => 52,
    }
}

fn load_code(error: &LoadError) -> u8 {
    match error {
        LoadError::Missing { .. } => 11,
        LoadError::Root(UnwrapError::OtherRoot { .. }) => 22,
        LoadError::Root(_) | LoadError::Version { .. } | LoadError::Slow(_) => 23,
        LoadError::Read { .. } | LoadError::Accept { .. } | LoadError::Write { .. } => 30,
        LoadError::Malformed { .. } | LoadError::Accepted { .. } => 31,
        LoadError::Forged { .. } => 32,
        LoadError::Older { .. } | LoadError::OtherHistory { .. } | LoadError::GoesBack { .. } => 33,
    }
}

fn root_code(error: &OpenRootError) -> u8 {
    match error {
        OpenRootError::File(FileError::Missing { .. }) => 20,
        OpenRootError::File(FileError::Io { .. }) => 23,
        OpenRootError::Remote(_) | OpenRootError::Pin(_) => 23,
        _ => 21,
    }
}
