use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixListener,
    },
};

use anyhow::Result;
use rustix::process::{getgid, getuid};
use testbed::{
    Daemon,
    folder::Folder,
    wait::{Look, until},
};
use tokio::{io::AsyncReadExt, net::UnixStream};
use tonic::Code;

use crate::{
    raw,
    steps::{draining, refuses_to_serve, serving, serving_with},
};

#[test]
fn second_daemon_on_a_socket_stops_and_the_first_serves_on() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let mut first = Daemon::make(&folder.part("a")?)?;
        first.init()?;
        first.start().await?;
        let inode = fs::symlink_metadata(first.socket())?.ino();

        let mut second = Daemon::make(&folder.part("b")?)?;
        second.init()?;
        let text = fs::read_to_string(second.config())?;
        let theirs = second.socket().display().to_string();
        fs::write(second.config(), text.replace(&theirs, &first.socket().display().to_string()))?;
        refuses_to_serve(&mut second, 12, "another daemon serves").await?;

        assert_eq!(fs::symlink_metadata(first.socket())?.ino(), inode);
        assert_eq!(first.plugin()?.status().await?.healthz, "ok");
        Ok(())
    })
}

#[test]
fn socket_that_somebody_serves_without_our_lock_is_left_alone() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let mut daemon = Daemon::make(folder.path())?;
        daemon.init()?;
        fs::create_dir_all(daemon.socket().parent().unwrap())?;
        let other = UnixListener::bind(daemon.socket())?;
        refuses_to_serve(&mut daemon, 12, "another daemon serves").await?;
        assert!(other.accept().is_ok(), "the probe itself connects; the listener is untouched");
        assert!(fs::symlink_metadata(daemon.socket())?.file_type().is_socket());
        Ok(())
    })
}

#[test]
fn what_is_not_a_socket_is_never_removed() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let mut daemon = Daemon::make(folder.path())?;
        daemon.init()?;
        fs::create_dir_all(daemon.socket().parent().unwrap())?;

        fs::write(daemon.socket(), "precious")?;
        refuses_to_serve(&mut daemon, 13, "is not a socket, so it is left alone").await?;
        assert_eq!(fs::read_to_string(daemon.socket())?, "precious");

        // A link is not followed, whatever it points to.
        let elsewhere = folder.path().join("elsewhere");
        fs::rename(daemon.socket(), &elsewhere)?;
        std::os::unix::fs::symlink(&elsewhere, daemon.socket())?;
        refuses_to_serve(&mut daemon, 13, "is not a socket, so it is left alone").await?;
        assert_eq!(fs::read_to_string(elsewhere)?, "precious");
        Ok(())
    })
}

#[test]
fn socket_of_a_killed_daemon_is_replaced() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let mut daemon = serving(&folder).await?;
        daemon.kill()?;
        assert!(daemon.socket().symlink_metadata().is_ok(), "SIGKILL leaves the socket behind");
        daemon.start().await
    })
}

#[test]
fn socket_and_its_folder_are_closed_to_others() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
        let owners = format!("[kms]\nowner = {uid}\ngroup = {gid}");
        let daemon = serving_with(&folder, "[kms]", &owners).await?;

        let socket = fs::symlink_metadata(daemon.socket())?;
        assert_eq!(socket.permissions().mode() & 0o7777, 0o660);
        assert_eq!((socket.uid(), socket.gid()), (uid, gid));
        let parent = fs::symlink_metadata(daemon.socket().parent().unwrap())?;
        assert_eq!(parent.permissions().mode() & 0o7777, 0o750);
        Ok(())
    })
}

#[test]
fn peer_that_is_not_allowed_is_refused_and_counted() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let mut daemon = Daemon::make(folder.path())?;
        let text = fs::read_to_string(daemon.config())?;
        let ours = format!("allow_uids = [{}]", getuid().as_raw());
        let other = format!("allow_uids = [{}]", getuid().as_raw() + 1);
        fs::write(daemon.config(), text.replace(&ours, &other))?;
        daemon.init()?;
        daemon.launch()?;
        until("the admin pages", std::time::Duration::from_secs(10), async || {
            Ok(match daemon.admin("/readyz").await {
                Ok((status, _)) if status.is_success() => Look::Done(()),
                other => Look::NotYet(format!("{other:?}")),
            })
        })
        .await?;

        let mut connection = UnixStream::connect(daemon.socket()).await?;
        assert_eq!(connection.read(&mut [0; 64]).await?, 0, "closed without a word");
        let count = daemon
            .metrics()
            .await?
            .sum("strongroom_kms_refused_peers_total", &[("reason", "Identity")]);
        assert!(count >= Some(1.0), "{count:?}");
        assert!(daemon.log()?.contains("neither its uid is in kms.allow_uids"));
        Ok(())
    })
}

#[test]
fn first_signal_finishes_the_call_under_way() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let mut daemon = serving(&folder).await?;

        let mut connection = raw::Connection::open(&daemon.socket()).await?;
        let call = connection.begin("Encrypt").await?;
        // Answered after the headers of the other call arrived.
        assert_eq!(connection.call("Status", &raw::framed(&[])).await?, Code::Ok);
        daemon.signal_terminate()?;
        draining(&daemon).await?;
        assert_eq!(call.finish(&raw::encrypt_request(&[7; 32])).await?, Code::Ok);
        drop(connection);
        assert!(daemon.exit().await?.success());
        assert!(daemon.socket().symlink_metadata().is_err(), "its socket goes with it");
        Ok(())
    })
}

#[test]
fn second_signal_cuts() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let mut daemon = serving(&folder).await?;

        let mut connection = raw::Connection::open(&daemon.socket()).await?;
        let _call = connection.begin("Encrypt").await?;
        assert_eq!(connection.call("Status", &raw::framed(&[])).await?, Code::Ok);
        daemon.signal_terminate()?;
        draining(&daemon).await?;
        daemon.signal_terminate()?;
        assert_eq!(daemon.exit().await?.code(), Some(40));
        Ok(())
    })
}
