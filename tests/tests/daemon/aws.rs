//! A daemon whose root key is in AWS: while AWS is there, gone, and back.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use testbed::{
    Daemon, Endpoint, Moto,
    credentials::Sources,
    endpoint::Line,
    folder::Folder,
    moto::CREDENTIALS,
    wait::{Look, until},
};

use crate::{
    holder::Holder,
    memory::Image,
    steps::{SEED, refuses_to_serve, request},
};

const REGION: &str = "eu-central-1";
/// Everything that is bounded, with room for a slow machine.
const SOON: Duration = Duration::from_secs(30);

/// An account with a key, the way to it, and a daemon.
struct Place {
    moto: Moto,
    arn: String,
    endpoint: Endpoint,
    daemon: Daemon,
    _folder: Folder,
}

impl Place {
    /// A daemon that serves with a key in AWS alone.
    async fn serving() -> Result<Self> {
        let mut place = Self::bare().await?;
        place.daemon.root_in_aws(&place.arn, &place.endpoint)?;
        place.init()?;
        place.daemon.start().await?;
        Ok(place)
    }

    /// The same with a key file as its second root, or its first.
    async fn with_a_file() -> Result<Self> {
        let mut place = Self::bare().await?;
        place.daemon.second_root_in_aws(&place.arn, &place.endpoint)?;
        place.init()?;
        place.daemon.start().await?;
        Ok(place)
    }

    /// Puts the root in AWS before the file.
    fn prefer_aws(&self) -> Result<()> {
        let config = std::fs::read_to_string(self.daemon.config())?;
        let mut parts = config.split("[[roots]]\n");
        let (Some(head), Some(file), Some(aws), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            anyhow::bail!("two roots are expected")
        };
        let (file, rest) = file.split_once("[admin]").context("no [admin]")?;
        let swapped = format!("{head}[[roots]]\n{aws}[[roots]]\n{file}[admin]{rest}");
        Ok(std::fs::write(self.daemon.config(), swapped)?)
    }

    async fn bare() -> Result<Self> {
        let mut place = Self::without_credentials().await?;
        for (name, value) in CREDENTIALS {
            place.daemon.environment(name, value);
        }
        Ok(place)
    }

    async fn without_credentials() -> Result<Self> {
        let folder = Folder::make()?;
        let moto = Moto::start(&folder.part("moto")?).await?;
        let arn = moto.make_key(REGION).await?;
        let endpoint = Endpoint::before(moto.port()).await?;
        let mut daemon = Daemon::make(&folder.part("daemon")?)?;
        // Not the credentials of whoever runs the tests.
        for name in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
            daemon.environment(name, "/nonexistent");
        }
        Ok(Self { moto, arn, endpoint, daemon, _folder: folder })
    }

    fn init(&self) -> Result<()> {
        let config = self.daemon.config().display().to_string();
        let made = self.daemon.run(&["init", "--config", &config, "--first-version", "1"])?;
        ensure!(made.status.success(), "{made:?}");
        Ok(())
    }

    /// Reads and writes as kube-apiserver does, also after its restart.
    async fn serves(&self, stored: &proto::kms::EncryptResponse) -> Result<()> {
        let plugin = self.daemon.plugin()?;
        let began = Instant::now();
        let status = plugin.status().await?;
        assert_eq!(status.healthz, "ok");
        let new = plugin.encrypt(&SEED).await?;
        assert_eq!(new.key_id, status.key_id);
        for stored in [stored, &new] {
            assert_eq!(plugin.decrypt(request(stored)).await?.plaintext, SEED);
        }
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        Ok(())
    }

    /// Waits until `/readyz` begins so and has these words.
    async fn says(&self, start: &str, words: &str) -> Result<()> {
        until(words, SOON, async || {
            let (status, text) = self.daemon.admin("/readyz").await?;
            let fits = status.is_success() && text.starts_with(start) && text.contains(words);
            Ok(if fits { Look::Done(()) } else { Look::NotYet(text) })
        })
        .await
    }

    /// The probe of the start, which wraps and unwraps, to its end.
    async fn was_probed(&self) -> Result<()> {
        until("the first probe", SOON, async || {
            let metrics = self.daemon.metrics().await?;
            let probed = metrics.sum("strongroom_root_probes_total", &[("outcome", "ok")]);
            Ok(if probed >= Some(1.0) {
                Look::Done(())
            } else {
                Look::NotYet(format!("{probed:?}"))
            })
        })
        .await
    }

    /// A reload wants the root at once, and rings for a probe where it fails.
    fn probe_soon(&self) -> Result<()> {
        self.daemon.reload()
    }

    /// Nothing of what is secret, nor of what AWS said.
    fn kept_quiet(&self) -> Result<()> {
        let log = self.daemon.log()?;
        for word in ["secret-of-the-testbed", "words of the service", "Plaintext", "AWS4-HMAC"] {
            assert!(!log.contains(word), "{word} in the log:\n{log}");
        }
        Ok(())
    }
}

#[test]
fn aws_may_go_while_the_daemon_serves() -> Result<()> {
    testbed::run(async {
        let mut place = Place::serving().await?;
        let stored = place.daemon.plugin()?.encrypt(&SEED).await?;
        let outages = [
            (Line::Refuses, "could not be reached"),
            (Line::IsSilent, "did not answer"),
            (Line::Fails(500, "KMSInternalException"), "trouble of its own"),
            (Line::Fails(400, "AccessDeniedException"), "deploy/aws-kms-policy.json"),
            (Line::Fails(400, "ThrottlingException"), "fewer requests"),
        ];
        for (line, words) in outages {
            place.endpoint.becomes(line).await?;
            place.probe_soon()?;
            place.says("degraded\nbundle: ", words).await?;
            place.serves(&stored).await?;
            place.endpoint.becomes(Line::Works).await?;
            place.says("ok", "").await?;
            place.serves(&stored).await?;
        }
        place.kept_quiet()
    })
}

#[test]
fn daemon_without_another_root_stops_at_once_and_serves_when_aws_is_back() -> Result<()> {
    testbed::run(async {
        let mut place = Place::serving().await?;
        let stored = place.daemon.plugin()?.encrypt(&SEED).await?;
        assert!(place.daemon.terminate().await?.success());
        let outages = [
            (Line::Refuses, "could not be reached: look at the way to its endpoint"),
            (Line::IsSilent, "did not answer"),
            (Line::Fails(503, "ServiceUnavailableException"), "trouble of its own: wait"),
            (Line::Fails(400, "DisabledException"), "aws kms enable-key"),
        ];
        for (line, words) in outages {
            place.endpoint.becomes(line).await?;
            let began = Instant::now();
            refuses_to_serve(&mut place.daemon, 23, words).await?;
            assert!(began.elapsed() < Duration::from_secs(8), "{line:?}: {:?}", began.elapsed());
        }
        place.endpoint.becomes(Line::Works).await?;
        place.daemon.start().await?;
        place.serves(&stored).await?;
        place.kept_quiet()
    })
}

#[test]
fn daemon_with_another_root_starts_without_aws_and_takes_it_back() -> Result<()> {
    testbed::run(async {
        let mut place = Place::with_a_file().await?;
        let stored = place.daemon.plugin()?.encrypt(&SEED).await?;
        for line in [Line::Refuses, Line::IsSilent, Line::Fails(500, "KMSInternalException")] {
            assert!(place.daemon.terminate().await?.success());
            place.endpoint.becomes(line).await?;
            place.daemon.start().await?;
            place.serves(&stored).await?;
            place.says("degraded\nroot ", "AWS KMS").await?;
        }
        Ok(())
    })
}

/// The preferred root hangs: the next one opens everything, in far less than a deadline.
#[test]
fn preferred_root_that_hangs_does_not_hold_up_the_start() -> Result<()> {
    testbed::run(async {
        let mut place = Place::with_a_file().await?;
        assert!(place.daemon.terminate().await?.success());
        place.prefer_aws()?;
        place.endpoint.becomes(Line::IsSilent).await?;
        let began = Instant::now();
        place.daemon.start().await?;
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        assert!(!place.endpoint.take_asked().is_empty(), "it was asked first");
        Ok(())
    })
}

#[test]
fn lost_bundle_is_recovered_from_by_the_annotation_and_aws() -> Result<()> {
    testbed::run(async {
        let mut place = Place::serving().await?;
        let stored = place.daemon.plugin()?.encrypt(&SEED).await?;
        assert!(place.daemon.terminate().await?.success());
        std::fs::remove_dir_all(place.daemon.bundle())?;
        // A key of AWS always exists, and nobody knows what it has wrapped.
        let config = place.daemon.config().display().to_string();
        let refused = place.daemon.run(&["init", "--config", &config])?;
        assert_eq!(refused.status.code(), Some(11), "{refused:?}");
        let made = place.daemon.run(&["init", "--config", &config, "--first-version", "2"])?;
        assert!(made.status.success(), "{made:?}");
        place.daemon.start().await?;
        place.serves(&stored).await
    })
}

/// It came in base64, through buffers of HTTP and the SDK; what is left is the one copy that serves.
#[test]
fn key_that_came_from_aws_is_in_memory_once() -> Result<()> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    testbed::run(async {
        let mut place = Place::with_a_file().await?;
        // The file says what to look for.
        let holder = Holder::of(&place.daemon)?;
        let version = *holder.unwrapped()?[0].expose_secret();
        let ledger = *holder.ledger_key()?.expose_secret();
        assert!(place.daemon.terminate().await?.success());
        place.prefer_aws()?;
        place.endpoint.take_asked();
        place.daemon.start().await?;
        let opened = place.endpoint.take_asked();
        assert!(opened.iter().filter(|it| it.operation == "Decrypt").count() >= 2, "{opened:?}");
        place.was_probed().await?;

        let id = place.daemon.id().context("it runs")?;
        let look_for = [
            ("key version", version.to_vec(), 1),
            ("ledger key", ledger.to_vec(), 0),
            // Without the last digits, which depend on what follows.
            ("key version in base64", STANDARD.encode(version)[..42].into(), 0),
            ("ledger key in base64", STANDARD.encode(ledger)[..42].into(), 0),
        ];
        until("nothing is left in buffers", SOON, async || {
            let image = Image::of(id)?;
            let found: Vec<_> =
                look_for.iter().map(|(name, needle, _)| (*name, image.count(needle))).collect();
            let expected = look_for.iter().map(|(name, _, count)| (*name, *count));
            Ok(if expected.eq(found.iter().copied()) {
                Look::Done(())
            } else {
                Look::NotYet(format!("{found:?}"))
            })
        })
        .await
    })
}

/// It went there in base64, and came back once to be compared.
#[test]
fn key_that_was_wrapped_by_aws_is_in_memory_once() -> Result<()> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    testbed::run(async {
        let mut place = Place::bare().await?;
        place.daemon.second_root_in_aws(&place.arn, &place.endpoint)?;
        place.daemon.rotate_alone("1s")?;
        place.init()?;
        place.daemon.start().await?;
        until("the rotation ends", 2 * SOON, async || {
            let begun = place.daemon.strongroom(&["rotate", "start", "--reason", "a test"])?;
            let key_id = place.daemon.plugin()?.status().await?.key_id;
            Ok(if key_id.starts_with("etcd/v2/") {
                Look::Done(())
            } else {
                Look::NotYet(format!("{key_id} {begun:?}"))
            })
        })
        .await?;
        let version = *Holder::of(&place.daemon)?.unwrapped()?[1].expose_secret();
        let id = place.daemon.id().context("it runs")?;
        until("nothing is left in buffers", SOON, async || {
            let image = Image::of(id)?;
            let found = [version.to_vec(), STANDARD.encode(version)[..42].into()]
                .map(|needle| image.count(&needle));
            Ok(if found == [1, 0] { Look::Done(()) } else { Look::NotYet(format!("{found:?}")) })
        })
        .await
    })
}

/// As they are found on a machine, a pod and a shell: by the SDK's own chain.
#[test]
fn credentials_come_from_wherever_the_sdk_finds_them() -> Result<()> {
    testbed::run(async {
        let sources = Sources::start().await?;
        let files = Folder::make()?;
        let write = |name: &str, text: &str| -> Result<String> {
            let path = files.path().join(name);
            std::fs::write(&path, text)?;
            Ok(path.display().to_string())
        };
        let profile = write(
            "credentials",
            "[kms]\naws_access_key_id = AKIDOFTHEPROFILE\naws_secret_access_key = secret-of-the-testbed\n",
        )?;
        let token = write("token", Sources::POD_TOKEN)?;
        let off = ("AWS_EC2_METADATA_DISABLED", "true".to_owned());
        let cases = [
            (
                "AKIDOFTHETESTBED",
                CREDENTIALS.map(|(name, value)| (name, value.to_owned())).to_vec(),
            ),
            (
                "AKIDOFTHEPROFILE",
                vec![
                    off.clone(),
                    ("AWS_SHARED_CREDENTIALS_FILE", profile),
                    ("AWS_PROFILE", "kms".into()),
                ],
            ),
            (
                Sources::ROLE,
                vec![
                    off.clone(),
                    ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/strongroomd".into()),
                    ("AWS_WEB_IDENTITY_TOKEN_FILE", token.clone()),
                    ("AWS_ENDPOINT_URL_STS", sources.url()),
                ],
            ),
            (
                Sources::POD,
                vec![
                    off,
                    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/pod", sources.url())),
                    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token),
                ],
            ),
            (Sources::INSTANCE, vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT", sources.url())]),
        ];
        for (id, environment) in cases {
            let mut place = Place::without_credentials().await?;
            for (name, value) in environment {
                place.daemon.environment(name, &value);
            }
            place.daemon.root_in_aws(&place.arn, &place.endpoint)?;
            place.init()?;
            place.daemon.start().await?;
            let asked = place.endpoint.take_asked();
            assert!(
                !asked.is_empty() && asked.iter().all(|it| it.signed_by == id),
                "{id}: {asked:?}"
            );
            assert!(!place.daemon.log()?.contains(Sources::POD_TOKEN));
            place.kept_quiet()?;
        }

        let mut place = Place::without_credentials().await?;
        place.daemon.environment("AWS_EC2_METADATA_DISABLED", "true");
        place.daemon.second_root_in_aws(&place.arn, &place.endpoint)?;
        let config = place.daemon.config().display().to_string();
        let refused = place.daemon.run(&["init", "--config", &config, "--first-version", "1"])?;
        let said = String::from_utf8(refused.stderr)?;
        assert_eq!(refused.status.code(), Some(23), "{said}");
        assert!(said.contains("there are no AWS credentials"), "{said}");
        Ok(())
    })
}

/// The number of calls does not depend on what kube-apiserver does.
#[test]
fn no_call_of_kube_apiserver_asks_aws() -> Result<()> {
    testbed::run(async {
        let place = Place::serving().await?;
        let plugin = place.daemon.plugin()?;
        place.was_probed().await?;
        let count = |operation: &str, asked: &[testbed::endpoint::Asked]| {
            asked.iter().filter(|it| it.operation == operation).count()
        };
        // init: version 1 and the ledger key, each opened again; start: the same two; probe: one of each, and a look.
        let before = place.endpoint.take_asked();
        let counts = ["Encrypt", "Decrypt", "DescribeKey"].map(|it| count(it, &before));
        assert_eq!(counts, [3, 5, 1]);
        for _ in 0..2000 {
            let stored = plugin.encrypt(&SEED).await?;
            assert_eq!(plugin.decrypt(request(&stored)).await?.plaintext, SEED);
            plugin.status().await?;
        }
        // A probe of its own may have come meanwhile, by the clock: a look, and no more in five minutes.
        let meanwhile = place.endpoint.take_asked();
        assert_eq!(count("Encrypt", &meanwhile) + count("Decrypt", &meanwhile), 0, "{meanwhile:?}");
        Ok(())
    })
}

/// A new version is wrapped under every root, so a rotation waits for AWS, says so, and goes on by itself.
#[test]
fn rotation_waits_for_aws_and_ends_by_itself_with_a_handful_of_calls() -> Result<()> {
    testbed::run(async {
        let mut place = Place::bare().await?;
        place.daemon.second_root_in_aws(&place.arn, &place.endpoint)?;
        place.daemon.rotate_alone("1s")?;
        place.init()?;
        place.daemon.start().await?;
        let stored = place.daemon.plugin()?.encrypt(&SEED).await?;
        place.says("ok", "").await?;

        place.endpoint.becomes(Line::Refuses).await?;
        until("the rotation begins", SOON, async || {
            let begun = place.daemon.strongroom(&["rotate", "start", "--reason", "a test"])?;
            let said = String::from_utf8_lossy(&begun.stderr).into_owned();
            // The ledger is opened after the keys are served.
            Ok(if begun.status.success() { Look::Done(()) } else { Look::NotYet(said) })
        })
        .await?;
        place.says("degraded\n", "rotation: rotation waits: root key arn:aws:kms:").await?;
        place.serves(&stored).await?;

        place.endpoint.becomes(Line::Works).await?;
        place.endpoint.take_asked();
        until("the rotation ends", 2 * SOON, async || {
            let status = place.daemon.ask(&["rotate", "status"])?;
            let state = status.pointer("/run/state").and_then(|it| it.as_str());
            Ok(if state == Some("done") {
                Look::Done(())
            } else {
                Look::NotYet(status.to_string())
            })
        })
        .await?;
        let key_id = place.daemon.plugin()?.status().await?.key_id;
        assert!(key_id.starts_with("etcd/v2/"), "{key_id}");
        place.serves(&stored).await?;
        // The file opens what is loaded, so AWS wraps the new version, and answers probes.
        let asked = place.endpoint.take_asked();
        let wraps = asked.iter().filter(|asked| {
            asked.operation == "Encrypt"
                && asked.body["EncryptionContext"]["strongroom:purpose"] == "key"
        });
        assert_eq!(wraps.count(), 1, "{asked:?}");
        Ok(())
    })
}

#[test]
fn key_that_will_be_deleted_is_an_alarm_while_everything_still_serves() -> Result<()> {
    testbed::run(async {
        let mut place = Place::with_a_file().await?;
        let stored = place.daemon.plugin()?.encrypt(&SEED).await?;
        // moto wants the id alone here.
        let id = place.arn.rsplit('/').next();
        let request = json!({ "KeyId": id, "PendingWindowInDays": 7 });
        place.moto.ask(REGION, "ScheduleKeyDeletion", &request).await?;
        assert!(place.daemon.terminate().await?.success());
        place.daemon.start().await?;
        place.says("degraded\nroot ", "it is scheduled for deletion at 20").await?;
        place.says("degraded\nroot ", "aws kms cancel-key-deletion").await?;
        place.serves(&stored).await?;
        let metrics = place.daemon.metrics().await?;
        let ends = metrics.sum("strongroom_root_ends_timestamp_seconds", &[]);
        assert!(ends > Some(1_700_000_000.0), "{ends:?}");
        let arn = envelope::AwsKeyArn::parse(&place.arn)?;
        let root = arn.root_id().to_string();
        assert_eq!(metrics.sum("strongroom_root_up", &[("root", &root)]), Some(0.0));
        Ok(())
    })
}

#[test]
fn alias_that_points_elsewhere_is_told_and_not_followed() -> Result<()> {
    testbed::run(async {
        let mut place = Place::bare().await?;
        let alias = "alias/strongroom";
        let named = json!({ "AliasName": alias, "TargetKeyId": place.arn });
        place.moto.ask(REGION, "CreateAlias", &named).await?;
        let key = format!("{alias}\"\nregion = \"{REGION}");
        place.daemon.root_in_aws(&key, &place.endpoint)?;
        place.init()?;
        place.daemon.start().await?;
        let stored = place.daemon.plugin()?.encrypt(&SEED).await?;
        place.says("ok", "").await?;

        let other = place.moto.make_key(REGION).await?;
        let moved = json!({ "AliasName": alias, "TargetKeyId": other });
        place.moto.ask(REGION, "UpdateAlias", &moved).await?;
        assert!(place.daemon.terminate().await?.success());
        place.endpoint.take_asked();
        place.daemon.start().await?;
        place.says("degraded\nroot ", &format!("{alias} points to {other} now")).await?;
        place.serves(&stored).await?;
        for asked in place.endpoint.take_asked() {
            let key = asked.body["KeyId"].as_str().unwrap_or_default().to_owned();
            assert!(
                key == place.arn || (key == alias && asked.operation == "DescribeKey"),
                "{asked:?}"
            );
        }

        // With the pin it needs AWS no more to know its key; the pin of another key opens nothing.
        let pin = std::fs::read_dir(place.daemon.bundle())?.flatten();
        let pin = pin.map(|it| it.path()).find(|it| it.extension().is_some_and(|it| it == "pin"));
        let pin = pin.unwrap();
        assert_eq!(std::fs::read_to_string(&pin)?, format!("{}\n", place.arn));
        assert!(place.daemon.terminate().await?.success());
        std::fs::write(&pin, format!("{other}\n"))?;
        refuses_to_serve(&mut place.daemon, 22, "wrong root key: it is wrapped under").await?;
        std::fs::write(&pin, "no key")?;
        refuses_to_serve(&mut place.daemon, 23, "is damaged: it names the key").await
    })
}

/// `--log trace` prints what the libraries have to say, but not what they were given to carry, whatever the environment asks for.
/// An alias and its key are of one account; what stands between may know another by the same name.
#[test]
fn alias_of_one_account_is_not_pinned_to_a_key_of_another() -> Result<()> {
    testbed::run(async {
        let place = Place::bare().await?;
        let named = json!({ "AliasName": "alias/strongroom", "TargetKeyId": place.arn });
        place.moto.ask(REGION, "CreateAlias", &named).await?;
        let alias = format!("arn:aws:kms:{REGION}:999999999999:alias/strongroom");
        place.daemon.root_in_aws(&alias, &place.endpoint)?;
        let config = place.daemon.config().display().to_string();
        let made = place.daemon.run(&["init", "--config", &config, "--first-version", "1"])?;
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(!made.status.success() && said.contains("another account"), "{said}");
        Ok(())
    })
}

#[test]
fn no_log_filter_shows_what_goes_to_aws() -> Result<()> {
    testbed::run(async {
        let mut place = Place::bare().await?;
        place.daemon.log_filter("trace");
        place.daemon.root_in_aws(&place.arn, &place.endpoint)?;
        place.init()?;
        place.daemon.environment("AWS_SESSION_TOKEN", "token-of-the-testbed");
        place.daemon.environment("LOG_SIGNABLE_BODY", "true");
        place.daemon.environment("LOG_SENSITIVE_BODIES", "true");
        place.daemon.start().await?;
        place.was_probed().await?;
        assert!(place.daemon.log()?.contains("TRACE"), "it is a trace");
        assert!(!place.daemon.log()?.contains("token-of-the-testbed"));
        // As the SDK prints a body that it signs.
        let plaintext: Vec<String> = b"\"Plaintext\"".iter().map(u8::to_string).collect();
        assert!(!place.daemon.log()?.contains(&plaintext.join(", ")), "a request in the log");
        place.kept_quiet()
    })
}
