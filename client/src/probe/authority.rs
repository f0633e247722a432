//! What becomes of the `:authority` that kube-apiserver sends before 1.32: the socket's path, percent-encoded.
//!
//! No HTTP library of Rust sends such a header, which is also why most servers in Rust refuse it. So the frames are written by hand: one Status
//! call, and as much reading as tells whether it was answered (RFC 9113, RFC 7541).

use std::{fmt::Write as _, io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use super::check::Finding;
use crate::socket::Address;

/// Asks. Either answer is in order: it only says which kube-apiservers the plugin can serve on this socket.
pub(crate) async fn ask(address: &Address, timeout: Duration) -> Finding {
    let Ok(stream) = address.connect(timeout).await else {
        return Finding::skipped("a second connection was not accepted");
    };
    match tokio::time::timeout(timeout, exchange(stream, &authority(address))).await {
        Ok(Ok(true)) => Finding::ok("accepted: kube-apiserver before 1.32 can use this socket too"),
        _ if matches!(address, Address::Abstract(_)) => {
            Finding::ok("refused: serves kube-apiserver 1.32 and later")
        }
        _ => Finding::ok(
            "refused: serves kube-apiserver 1.32 and later; for an older one let the plugin listen on an abstract socket (unix:///@name)",
        ),
    }
}

/// True when the call was answered with a message.
async fn exchange(mut stream: UnixStream, authority: &str) -> io::Result<bool> {
    stream.write_all(&request(authority)).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, stream_id @ ..] = head;
        let length = u32::from_be_bytes([0, a, b, c]);
        let mut payload = Vec::new();
        (&mut stream).take(length.into()).read_to_end(&mut payload).await?;
        match (kind, u32::from_be_bytes(stream_id) & 0x7fff_ffff) {
            (SETTINGS, 0) if flags & ACK == 0 => {
                stream.write_all(&frame(SETTINGS, ACK, 0, &[])).await?
            }
            (DATA, 1) if !payload.is_empty() => return Ok(true),
            (RST_STREAM, 1) | (GOAWAY, _) => return Ok(false),
            (HEADERS, 1) if flags & END_STREAM != 0 => return Ok(false),
            _ => {}
        }
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn request(authority: &str) -> Vec<u8> {
    // Indexed fields of HPACK's static table, and literals that are not to be indexed.
    let mut block = vec![0x83, 0x86]; // :method POST, :scheme http
    block.push(0x04); // :path
    literal(&mut block, "/v2.KeyManagementService/Status");
    block.push(0x01); // :authority
    literal(&mut block, authority);
    block.extend([0x0f, 0x10]); // content-type
    literal(&mut block, "application/grpc");
    block.push(0x00);
    literal(&mut block, "te");
    literal(&mut block, "trailers");

    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes.extend(frame(HEADERS, END_HEADERS, 1, &block));
    // An empty message: not compressed, no bytes.
    bytes.extend(frame(DATA, END_STREAM, 1, &[0; 5]));
    bytes
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    // Payloads here are far below the 16 KiB that every peer takes.
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    let mut bytes = vec![a, b, c, kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A string of HPACK without Huffman coding: its length as an integer with a prefix of 7 bits.
fn literal(block: &mut Vec<u8>, text: &str) {
    const PREFIX: usize = 0x7f;
    let mut rest = text.len();
    if rest < PREFIX {
        block.extend(u8::try_from(rest));
    } else {
        block.push(0x7f);
        rest -= PREFIX;
        while rest >= 0x80 {
            block.extend(u8::try_from(rest & 0x7f).map(|low| low | 0x80));
            rest >>= 7;
        }
        block.extend(u8::try_from(rest));
    }
    block.extend(text.as_bytes());
}

/// As grpc-go encodes the target of a dial (`encodeAuthority`).
fn authority(address: &Address) -> String {
    let mut text = String::new();
    for byte in address.to_string().bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]@".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_is_encoded_as_grpc_go_does() {
        assert_eq!(authority(&Address::Path("/run/k ms.sock".into())), "%2Frun%2Fk%20ms.sock");
        assert_eq!(authority(&Address::Abstract("strongroom".into())), "@strongroom");
    }

    #[test]
    fn lengths_over_the_prefix_take_further_bytes() {
        let encoded = |length: usize| {
            let mut block = Vec::new();
            literal(&mut block, &"a".repeat(length));
            block.truncate(block.len() - length);
            block
        };
        assert_eq!(encoded(10), [10]);
        assert_eq!(encoded(126), [126]);
        assert_eq!(encoded(127), [0x7f, 0]);
        // The third example of RFC 7541, C.1, with a prefix of 7 bits: 1337 - 127 = 1210.
        assert_eq!(encoded(1337), [0x7f, 0xba, 0x09]);
    }
}
