use crate::{LedgerKey, wire::Writer};

const LABEL: &[u8] = b"strongroom/ledger-row/v1";

/// One row of the ledger in canonical bytes, to be authenticated by the ledger key: whoever owns the database can delete a
/// row or put an old one back (which other rows tell), but neither change nor invent one.
///
/// ```text
/// row    = enc(table) ‖ enc(cluster) ‖ enc(ring) ‖ fields
/// field  = u64be(number) │ enc(bytes) │ 0x00 │ 0x01 ‖ u64be(number)          in the order of docs/format.md
/// mac    = HMAC-SHA256(ledger key, enc("strongroom/ledger-row/v1") ‖ row)
/// ```
pub struct Row(Writer);

impl Row {
    /// Length of a MAC in bytes.
    pub const MAC_LEN: usize = 32;

    /// Begins a row of `table`, at its place.
    #[must_use]
    pub fn new(table: &str, cluster: &[u8; 16], ring: &str) -> Self {
        let mut out = Writer::with_capacity(256);
        out.prefixed(table.as_bytes());
        out.prefixed(cluster);
        out.prefixed(ring.as_bytes());
        Self(out)
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, value: u64) -> Self {
        self.0.u64(value);
        self
    }

    /// Adds a number that may be absent.
    #[must_use]
    pub fn maybe(mut self, value: Option<u64>) -> Self {
        self.0.u8(value.is_some().into());
        if let Some(value) = value {
            self.0.u64(value);
        }
        self
    }

    /// Adds text, at most 4 GiB of it.
    #[must_use]
    pub fn text(self, value: &str) -> Self {
        self.bytes(value.as_bytes())
    }

    /// Adds bytes, at most 4 GiB of them.
    #[must_use]
    pub fn bytes(mut self, value: &[u8]) -> Self {
        self.0.prefixed(value);
        self
    }

    /// The MAC of the whole row.
    #[must_use]
    pub fn mac(self, key: &LedgerKey) -> [u8; Self::MAC_LEN] {
        key.mac(LABEL, &self.0.finish())
    }

    /// Whether `mac` is that of the whole row, in constant time.
    #[must_use]
    pub fn verify(self, key: &LedgerKey, mac: &[u8; Self::MAC_LEN]) -> bool {
        key.verify(LABEL, &self.0.finish(), mac)
    }
}
