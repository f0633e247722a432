use std::net::SocketAddr;

use serde::Deserialize;

use super::{AbsolutePath, SocketPath};
use crate::authority::Allow;

/// `[api]`: the admin API, on a unix socket and over mutual TLS.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawApi")]
pub struct Api {
    /// The unix socket; the uid that the kernel names is the identity of a peer.
    pub socket: Option<SocketPath>,
    /// Owner of the socket, a uid; absent: the daemon's.
    pub owner: Option<u32>,
    /// Group of the socket, a gid; absent: the daemon's.
    pub group: Option<u32>,
    /// TCP, only ever with mutual TLS.
    pub listen: Option<Listen>,
    /// Who may do what; absent: root and the daemon's own user everything.
    pub allow: Option<Vec<Allow>>,
}

/// An address, and what proves who is at either end.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Address and port.
    pub address: SocketAddr,
    /// The certificate that we show, and the authority of those that we take.
    pub tls: Tls,
}

/// `api.tls`: files in PEM.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Our certificate, with those of intermediate authorities after it.
    pub cert_file: AbsolutePath,
    /// Its key.
    pub key_file: AbsolutePath,
    /// The authority that a client's certificate must come from. One made for this purpose is advised: whoever it certifies
    /// can connect, though without `[[api.allow]]` do nothing.
    pub client_ca_file: AbsolutePath,
}

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApi {
    socket: Option<SocketPath>,
    owner: Option<u32>,
    group: Option<u32>,
    listen: Option<SocketAddr>,
    tls: Option<Tls>,
    allow: Option<Vec<Allow>>,
}

impl TryFrom<RawApi> for Api {
    type Error = String;

    fn try_from(raw: RawApi) -> Result<Self, String> {
        let RawApi { socket, owner, group, listen, tls, allow } = raw;
        let listen = match (listen, tls) {
            (Some(address), Some(tls)) => Some(Listen { address, tls }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(
                    "missing field `tls`: over TCP the API is served with mutual TLS or not at all"
                        .into(),
                );
            }
            (None, Some(_)) => {
                return Err(
                    "missing field `listen`: tls is for TCP, and the socket has none".into()
                );
            }
        };
        if socket.is_none() && listen.is_none() {
            return Err("missing field `socket` (or `listen` with tls): say where the API is served, or leave [api] out".into());
        }
        if socket.is_none() && (owner.is_some() || group.is_some()) {
            return Err("missing field `socket`: owner and group are its".into());
        }
        if let Some(allow) = &allow {
            refuse_useless(allow)?;
        }
        Ok(Self { socket, owner, group, listen, allow })
    }
}

/// A list that admits nobody looks as if it admitted everybody, and of two entries for one identity somebody reads only one.
fn refuse_useless(allow: &[Allow]) -> Result<(), String> {
    if allow.is_empty() {
        return Err(
            "an empty list allows nothing to nobody: name an identity, or leave `allow` out".into(),
        );
    }
    for (i, Allow { identity, may }) in allow.iter().enumerate() {
        if may.is_empty() {
            return Err(format!(
                "{identity} may do nothing: name a permission, or leave the entry out"
            ));
        }
        if allow.iter().skip(i + 1).any(|other| other.identity == *identity) {
            return Err(format!(
                "{identity} stands in `allow` twice: put all it may into one entry"
            ));
        }
    }
    Ok(())
}
