//! Where the AWS SDK gets credentials on a machine of AWS: the metadata service of an instance, the agent of a pod, STS.

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const SECRET: &str = "secret-of-the-testbed";

/// All of them on one port of loopback, each with credentials of its own.
pub struct Sources {
    port: u16,
    serving: JoinHandle<()>,
}

impl Sources {
    /// What the metadata service (IMDSv2) gives out.
    pub const INSTANCE: &str = "AKIDOFTHEINSTANCE";
    /// What the agent of a pod (EKS pod identity) gives out.
    pub const POD: &str = "AKIDOFTHEPOD";
    /// What STS gives out for the token of a service account (IRSA).
    pub const ROLE: &str = "AKIDOFTHEROLE";
    /// What a pod shows to its agent, or to STS.
    pub const POD_TOKEN: &str = "token-of-the-testbed";

    /// Starts them.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Who asks wrongly is told by the lack of credentials.
                let _ = answer(stream).await;
            }
        });
        Ok(Self { port, serving })
    }

    /// Its URL, without a path.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(mut stream: TcpStream) -> Result<()> {
    let mut request = Vec::new();
    while !is_complete(&request) {
        ensure!(stream.read_buf(&mut request).await? > 0 && request.len() < 16 << 10, "no request");
    }
    let text = String::from_utf8(request)?.to_lowercase();
    let has = |header: &str| text.contains(&format!("\r\n{header}\r\n"));
    let pod = has(&format!("authorization: {}", Sources::POD_TOKEN));
    let session = has("x-aws-ec2-metadata-token: session");
    let line = text.lines().next().unwrap_or_default();
    let shown = format!("webidentitytoken={}", Sources::POD_TOKEN);
    let body = match line {
        "post / http/1.1" if text.contains(&shown) => Some(assumed_role()),
        "get /pod http/1.1" if pod => Some(credentials(Sources::POD)),
        "put /latest/api/token http/1.1" => Some("session".to_owned()),
        _ if !session => None,
        line if line.ends_with("-credentials/ http/1.1")
            || line.ends_with("-credentials-extended/ http/1.1") =>
        {
            Some("role".to_owned())
        }
        line if line.ends_with("/role http/1.1") => Some(credentials(Sources::INSTANCE)),
        _ => None,
    };
    let (status, body) = body.map_or(("404 x", String::new()), |body| ("200 OK", body));
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    Ok(stream.write_all(body.as_bytes()).await?)
}

/// Head and body are there.
fn is_complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn assumed_role() -> String {
    format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult>\
         <Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>\
         <SessionToken>token-of-the-testbed</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
         <AssumedRoleUser><AssumedRoleId>AROA:x</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/strongroomd/x</Arn>\
         </AssumedRoleUser></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
        Sources::ROLE
    )
}

fn credentials(id: &str) -> String {
    format!(
        "{{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"AccountId\":\"123456789012\",\"AccessKeyId\":\"{id}\",\"SecretAccessKey\":\"{SECRET}\",\
         \"Token\":\"token-of-the-testbed\",\"LastUpdated\":\"2026-01-01T00:00:00Z\",\"Expiration\":\"2099-01-01T00:00:00Z\"}}"
    )
}
