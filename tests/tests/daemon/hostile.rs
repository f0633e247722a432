//! Hostile neighbours: what a daemon holds, what it waits for, what one peer does to another.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::Request;
use proto::kms::{StatusRequest, key_management_service_client::KeyManagementServiceClient};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use testbed::{
    Daemon,
    folder::Folder,
    wait::{Look, until},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tonic::Code;

use crate::{
    raw,
    steps::{SEED, draining, loads, serving},
};

fn make_fifo(path: &Path) -> Result<()> {
    ensure!(Command::new("mkfifo").arg("-m").arg("600").arg(path).status()?.success());
    Ok(())
}

/// The address of the admin pages, out of the configuration.
fn admin(daemon: &Daemon) -> Result<String> {
    let text = fs::read_to_string(daemon.config())?;
    let (_, rest) = text.split_once("listen = \"").context("no admin pages")?;
    Ok(rest.split_once('"').context("no end")?.0.to_owned())
}

/// Most memory that it ever had, in KiB.
fn peak_kib(daemon: &Daemon) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id().context("runs")?))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(line.and_then(|line| line.split_whitespace().next()).context("no VmHWM")?.parse()?)
}

/// Status over a new connection, as a kube-apiserver that starts now.
async fn status_answers(daemon: &Daemon) -> Result<()> {
    daemon.plugin()?.status().await.map(drop).context("Status")
}

/// The frames of one round of a flood.
type MakeFrames = Box<dyn Fn(u32) -> Vec<u8> + Send>;

/// Frames by hand.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A pipe is never at its end.
#[test]
fn pipe_in_place_of_the_bundle_does_not_stop_the_daemon() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        fs::remove_file(daemon.bundle_file())?;
        make_fifo(&daemon.bundle_file())?;
        daemon.reload()?;
        loads(&daemon, "Refused", 1.0).await?;
        status_answers(&daemon).await
    })
}

/// The same beside it.
#[test]
fn pipe_in_place_of_the_accepted_generation_does_not_stop_the_daemon() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        let accepted = daemon.bundle().join("etcd.accepted");
        fs::remove_file(&accepted)?;
        make_fifo(&accepted)?;
        daemon.reload()?;
        loads(&daemon, "Refused", 1.0).await?;
        status_answers(&daemon).await
    })
}

/// A hole of 1 GiB, which costs whoever made it nothing.
#[test]
fn bundle_that_is_too_long_is_not_read_into_memory() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        let before = peak_kib(&daemon)?;
        fs::File::create(daemon.bundle_file())?.set_len(1 << 30)?;
        daemon.reload()?;
        loads(&daemon, "Refused", 1.0).await?;
        let grown = peak_kib(&daemon)? - before;
        ensure!(grown < 16 << 10, "the daemon had {grown} KiB more");
        Ok(())
    })
}

/// Anybody on the node reaches the admin pages. What he holds open there must not keep kube-apiserver from its keys.
#[test]
fn connections_to_the_admin_pages_do_not_use_up_those_of_kube_apiserver() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        // As many as a small node allows; the same happens at any limit.
        let limit = Rlimit { current: Some(1024), maximum: Some(1024) };
        let pid = Pid::from_raw(daemon.id().context("runs")? as i32);
        prlimit(pid, Resource::Nofile, limit)?;
        let mut held = Vec::new();
        for _ in 0..1100 {
            let Ok(Ok(stream)) =
                timeout(Duration::from_secs(1), TcpStream::connect(admin(&daemon)?)).await
            else {
                break;
            };
            held.push(stream);
        }
        let open = fs::read_dir(format!("/proc/{}/fd", daemon.id().context("runs")?))?.count();
        status_answers(&daemon).await.with_context(|| {
            format!(
                "while {} connections to the admin pages are idle: {open} files open",
                held.len()
            )
        })
    })
}

/// A header that never ends, many times: nothing bounds it, nothing ends it.
#[test]
fn headers_that_never_end_cost_the_admin_pages_little() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        let before = peak_kib(&daemon)?;
        let mut held = Vec::new();
        for _ in 0..400 {
            let mut stream = TcpStream::connect(admin(&daemon)?).await?;
            let text = format!("GET /livez HTTP/1.1\r\nx: {}", "y".repeat(350 << 10));
            let _ = timeout(Duration::from_millis(10), stream.write_all(text.as_bytes())).await;
            held.push(stream);
        }
        let grown = peak_kib(&daemon)? - before;
        ensure!(grown < 32 << 10, "400 unfinished requests held {grown} KiB");
        Ok(())
    })
}

/// Half a request on the admin pages is no call that a drain waits for.
#[test]
fn half_a_request_to_the_admin_pages_does_not_spoil_the_drain() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let mut daemon = serving(&folder).await?;
        let mut stream = TcpStream::connect(admin(&daemon)?).await?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nx: ").await?;
        // Answered after the other was accepted.
        daemon.admin("/livez").await?;
        let status = daemon.terminate().await?;
        ensure!(status.success(), "{status}");
        Ok(())
    })
}

/// A peer that answers no ping has no call under way: the drain does not wait for it, and stopping is no failure.
#[test]
fn peer_that_answers_nothing_does_not_spoil_the_drain() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let mut daemon = serving(&folder).await?;
        let mut stream = UnixStream::connect(daemon.socket()).await?;
        stream.write_all(&[PREFACE, &frame(4, 0, 0, &[]), &frame(4, 1, 0, &[])].concat()).await?;
        // Its own settings: it has taken the connection.
        stream.read_exact(&mut [0; 9]).await?;
        let status = daemon.terminate().await?;
        ensure!(status.success(), "{status}");
        Ok(())
    })
}

/// Bodies that never end, 39 KiB of 40 each, 256 on each of 20 connections: 195 MiB, if all were kept.
#[test]
fn bodies_that_never_end_are_bounded_and_ended() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        let before = peak_kib(&daemon)?;
        let body = [&[0, 0, 0, 0xa0, 0], vec![0; 39 << 10].as_slice()].concat();
        let mut held = Vec::new();
        for _ in 0..20 {
            let (send, connection) =
                h2::client::handshake(UnixStream::connect(daemon.socket()).await?).await?;
            tokio::spawn(connection);
            let mut send = send.ready().await?;
            for _ in 0..256 {
                let request = Request::post("http://localhost/v2.KeyManagementService/Decrypt")
                    .header("content-type", "application/grpc")
                    .header("te", "trailers")
                    .body(())?;
                let Ok(ready) = timeout(Duration::from_secs(1), send.clone().ready()).await else {
                    break;
                };
                send = ready?;
                let (response, mut stream) = send.send_request(request, false)?;
                // Whoever is refused at once may not get to send it.
                let _ = stream.send_data(Bytes::copy_from_slice(&body), false);
                held.push((response, stream));
            }
        }
        // Refused at once, or given up at the deadline: either way it ends.
        for (response, _) in held {
            timeout(Duration::from_secs(10), response).await.context("a call has no end")??;
        }
        let grown = peak_kib(&daemon)? - before;
        ensure!(grown < 32 << 10, "20 connections made the daemon hold {grown} KiB");
        status_answers(&daemon).await
    })
}

/// A window of 0, and pings are answered: the connection lives for ever.
#[test]
fn answers_that_nobody_takes_do_not_spoil_the_drain() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let mut daemon = serving(&folder).await?;
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(0);
        let (send, connection) =
            builder.handshake::<_, Bytes>(UnixStream::connect(daemon.socket()).await?).await?;
        tokio::spawn(connection);
        let mut send = send.ready().await?;
        let mut held = Vec::new();
        for _ in 0..200 {
            let request = Request::post("http://localhost/v2.KeyManagementService/Status")
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(())?;
            send = send.ready().await?;
            let (response, mut stream) = send.send_request(request, false)?;
            let _ = stream.send_data(Bytes::from_static(&[0; 5]), true);
            held.push(response);
        }
        // Every answer has begun (its headers need no window) and none can end.
        let mut bodies = Vec::new();
        for response in held {
            bodies.push(response.await?.into_body());
        }
        let status = daemon.terminate().await?;
        ensure!(status.success(), "{status}");
        drop(bodies);
        Ok(())
    })
}

/// Headers over the limit get a gRPC code of their own, and never Unknown or Internal.
#[test]
fn headers_over_the_limit_are_told_with_a_code() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        let path = daemon.socket().display().to_string();
        let channel =
            tonic::transport::Endpoint::from_shared(format!("unix://{path}"))?.connect_lazy();
        let mut client = KeyManagementServiceClient::new(channel);
        for len in [9 << 10, 15 << 10, 64 << 10] {
            let mut request = tonic::Request::new(StatusRequest {});
            request.metadata_mut().insert("x-large", "y".repeat(len).parse()?);
            let refused = client.status(request).await.err().context("refused")?;
            ensure!(
                !matches!(refused.code(), Code::Unknown | Code::Internal),
                "{len} bytes of headers: {refused:?}"
            );
        }
        Ok(())
    })
}

/// Requests that are no gRPC: what a gRPC client would make of the answer.
#[test]
fn requests_that_are_no_grpc_are_told_with_a_code() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        let cases = [
            ("GET", "/v2.KeyManagementService/Status", Some("application/grpc")),
            ("POST", "/v2.KeyManagementService/Status", Some("text/plain")),
            ("POST", "/v2.KeyManagementService/Status", None),
            ("POST", "/", Some("application/grpc")),
            ("OPTIONS", "/v2.KeyManagementService/Encrypt", Some("application/grpc")),
        ];
        for (method, path, content) in cases {
            let (send, connection) =
                h2::client::handshake(UnixStream::connect(daemon.socket()).await?).await?;
            tokio::spawn(connection);
            let mut send = send.ready().await?;
            let mut request =
                Request::builder().method(method).uri(format!("http://localhost{path}"));
            if let Some(content) = content {
                request = request.header("content-type", content);
            }
            let (response, mut stream) = send.send_request(request.body(())?, false)?;
            let _ = stream.send_data(Bytes::from_static(&[0; 5]), true);
            let response = response.await?;
            let (http, head) = (response.status(), response.headers().get("grpc-status").cloned());
            let mut body = response.into_body();
            while let Some(chunk) = body.data().await {
                body.flow_control().release_capacity(chunk?.len())?;
            }
            let code = match head {
                Some(code) => Some(code),
                None => body.trailers().await?.and_then(|t| t.get("grpc-status").cloned()),
            };
            let code = code.map(|code| Code::from_bytes(code.as_bytes()));
            ensure!(
                code.is_some_and(|code| !matches!(code, Code::Unknown | Code::Internal)),
                "{method} {path} {content:?}: HTTP {http}, {code:?}"
            );
        }
        Ok(())
    })
}

#[test]
fn floods_on_one_connection_do_not_stop_another() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        let plugin = daemon.plugin()?;
        plugin.status().await?;
        let before = peak_kib(&daemon)?;
        let headers = {
            // :method POST, :scheme http, :path and :authority literal, content-type literal.
            let mut block = vec![0x83, 0x86];
            for (name, value) in [
                (":path", "/v2.KeyManagementService/Encrypt"),
                (":authority", "localhost"),
                ("content-type", "application/grpc"),
                ("te", "trailers"),
            ] {
                block.push(0);
                block.push(name.len() as u8);
                block.extend(name.as_bytes());
                block.push(value.len() as u8);
                block.extend(value.as_bytes());
            }
            block
        };
        let floods: Vec<(&str, MakeFrames)> = vec![
            ("pings", Box::new(|_| frame(6, 0, 0, &[0; 8]))),
            ("settings", Box::new(|_| frame(4, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]))),
            ("empty data", Box::new(|_| frame(0, 0, 1, &[]))),
            ("priorities", Box::new(|n| frame(2, 0, 2 * n + 1, &[0, 0, 0, 0, 1]))),
            ("window updates", Box::new(|_| frame(8, 0, 0, &[0, 0, 0, 1]))),
            ("rapid resets", {
                let headers = headers.clone();
                Box::new(move |n| {
                    let id = 2 * n + 1;
                    [frame(1, 4, id, &headers), frame(3, 0, id, &[0, 0, 0, 8])].concat()
                })
            }),
            ("resets that we make the daemon do", {
                let headers = headers.clone();
                Box::new(move |n| {
                    let id = 2 * n + 1;
                    [frame(1, 4, id, &headers), frame(8, 0, id, &[0, 0, 0, 0])].concat()
                })
            }),
            (
                "continuations",
                Box::new(|n| match n {
                    0 => frame(1, 0, 1, &[]),
                    _ => frame(9, 0, 1, &[]),
                }),
            ),
        ];
        for (what, make) in floods {
            let mut stream = UnixStream::connect(daemon.socket()).await?;
            stream.write_all(&[PREFACE, &frame(4, 0, 0, &[])].concat()).await?;
            // Never reads.
            let flood = tokio::spawn(async move {
                for round in 0_u32.. {
                    let chunk: Vec<u8> = (0..64).flat_map(|n| make(round * 64 + n)).collect();
                    if stream.write_all(&chunk).await.is_err() {
                        break;
                    }
                }
            });
            // Each within the 3 seconds that kube-apiserver waits.
            for _ in 0..100 {
                plugin.encrypt(&SEED).await.with_context(|| format!("Encrypt during {what}"))?;
            }
            flood.abort();
            let grown = peak_kib(&daemon)? - before;
            ensure!(grown < 16 << 10, "{what}: {grown} KiB more");
        }
        Ok(())
    })
}

/// Somebody listens there and accepts nothing: that is "another daemon serves", said at once.
#[test]
fn socket_with_a_full_queue_is_served_by_another() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let mut daemon = Daemon::make(folder.path())?;
        daemon.init()?;
        fs::create_dir_all(daemon.socket().parent().context("folder")?)?;
        let socket = tokio::net::UnixSocket::new_stream()?;
        socket.bind(daemon.socket())?;
        let _listener = socket.listen(1)?;
        let mut held = Vec::new();
        while let Ok(Ok(stream)) =
            timeout(Duration::from_millis(200), UnixStream::connect(daemon.socket())).await
        {
            held.push(stream);
        }
        daemon.launch()?;
        let status = daemon.exit().await.context("it waits for a place in the queue")?;
        ensure!(status.code() == Some(12), "{status}");
        Ok(())
    })
}

/// What a failed start leaves behind: no socket that nobody serves.
#[test]
fn failed_start_takes_its_socket_with_it() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let mut daemon = Daemon::make(folder.path())?;
        daemon.init()?;
        fs::write(daemon.bundle_file(), "no bundle")?;
        daemon.launch()?;
        ensure!(daemon.exit().await?.code() == Some(31));
        ensure!(daemon.socket().symlink_metadata().is_err(), "the socket is left");
        Ok(())
    })
}

/// One serves, the others stop, and the socket is the one's.
#[test]
fn of_many_that_start_at_once_one_serves() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let mut first = Daemon::make(&folder.part("0")?)?;
        first.init()?;
        let mut others = Vec::new();
        for n in 1..12 {
            let daemon = Daemon::make(&folder.part(&n.to_string())?)?;
            daemon.copy_keys(&first)?;
            let text = fs::read_to_string(daemon.config())?;
            let (own, shared) =
                (daemon.socket().display().to_string(), first.socket().display().to_string());
            fs::write(daemon.config(), text.replace(&own, &shared))?;
            others.push(daemon);
        }
        first.launch()?;
        for other in &mut others {
            other.launch()?;
        }
        let plugin = first.plugin()?;
        others.push(first);
        until("one is left", Duration::from_secs(20), async || {
            let alive = others.iter_mut().filter_map(|daemon| daemon.still_runs().ok()).count();
            Ok(if alive == 1 { Look::Done(()) } else { Look::NotYet(format!("{alive} run")) })
        })
        .await?;
        plugin.status().await.map(drop).context("Status")
    })
}

/// While one drains, a connection to its socket is not taken and left to hang.
#[test]
fn connection_during_a_drain_is_refused_at_once() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        let mut connection = raw::Connection::open(&daemon.socket()).await?;
        let _call = connection.begin("Encrypt").await?;
        ensure!(connection.call("Status", &raw::framed(&[])).await? == Code::Ok);
        daemon.signal_terminate()?;
        draining(&daemon).await?;
        if let Ok(mut late) = UnixStream::connect(daemon.socket()).await {
            let _ = late.write_all(&[PREFACE, &frame(4, 0, 0, &[])].concat()).await;
            let read = timeout(Duration::from_secs(5), late.read(&mut [0; 64])).await;
            ensure!(matches!(read, Ok(Err(_) | Ok(0))), "it was taken, and hangs: {read:?}");
        }
        Ok(())
    })
}

fn literal(name: &str, value: &str) -> Vec<u8> {
    [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

/// Calls, and behind them what ends the connection before they are run: they must not count as under way for ever.
#[test]
fn calls_whose_connection_ends_before_they_are_run_take_no_places() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let mut daemon = serving(&folder).await?;
        let call = [
            vec![0x83, 0x86],
            literal(":path", "/v2.KeyManagementService/Status"),
            literal(":authority", "localhost"),
            literal("content-type", "application/grpc"),
            literal("te", "trailers"),
        ]
        .concat();
        let connect = [
            literal(":method", "CONNECT"),
            literal(":authority", "localhost"),
            literal("content-length", "1"),
        ]
        .concat();
        for _ in 0..4 {
            let mut stream = UnixStream::connect(daemon.socket()).await?;
            let calls = (0..128).flat_map(|n| frame(1, 4, 2 * n + 1, &call));
            let all: Vec<u8> = [PREFACE, &frame(4, 0, 0, &[])]
                .concat()
                .into_iter()
                .chain(calls)
                .chain(frame(1, 4, 257, &connect))
                .collect();
            stream.write_all(&all).await?;
            // Until the daemon closes.
            let mut rest = Vec::new();
            let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await?;
        }
        daemon.plugin()?.encrypt(&SEED).await?;
        assert!(daemon.terminate().await?.success(), "nothing is waited for");
        Ok(())
    })
}
