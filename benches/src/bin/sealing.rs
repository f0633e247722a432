//! What sealing costs from the shell, beside age, sops and kubeseal where they are on PATH: the same Secret, in turn, in one run.
//!
//! `cargo run --release -p benches --bin sealing`; docs/benchmarks.md has what came of it.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

/// Time sealing and opening, beside other programs.
#[derive(Parser)]
struct Arguments {
    /// The program that is measured
    #[arg(long, default_value = "target/release/strongroom")]
    strongroom: PathBuf,
    /// Secrets of five values each
    #[arg(long, default_value_t = 4000)]
    secrets: usize,
    /// Rounds of one Secret
    #[arg(long, default_value_t = 101)]
    rounds: usize,
    /// Manifests that lint looks through
    #[arg(long, default_value_t = 10_000)]
    manifests: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut out = std::io::stdout().lock();
    let bench = Bench::make(&arguments.strongroom)?;
    writeln!(out, "{}", bench.one_secret(arguments.rounds)?)?;
    writeln!(out, "{}", bench.one_changed()?)?;
    writeln!(out, "{}", bench.many(arguments.secrets)?)?;
    writeln!(out, "{}", bench.many_keys(arguments.secrets)?)?;
    writeln!(out, "{}", bench.lint(arguments.manifests)?)?;
    Ok(())
}

/// Keys that a reader holds: two and a half years of a new one each month.
const KEYS: usize = 30;

/// A repository with keys, and the programs.
struct Bench {
    folder: tempfile::TempDir,
    strongroom: PathBuf,
}

/// A program with its arguments, run in the repository.
struct Contender {
    name: &'static str,
    program: String,
    arguments: Vec<String>,
}

impl Bench {
    fn make(strongroom: &Path) -> Result<Self> {
        let strongroom = strongroom
            .canonicalize()
            .context("build it first: cargo build --release -p strongroom")?;
        let bench = Self { folder: tempfile::tempdir()?, strongroom };
        fs::create_dir_all(bench.repository().join(".git"))?;
        let keys = bench.keys();
        bench.run(&["sealing-keys", "new", "--cluster", "bench", "--dir", &keys])?;
        bench.run(&["sealing-keys", "fetch", &format!("{keys}/bench.yaml")])?;
        Ok(bench)
    }

    fn repository(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    fn keys(&self) -> String {
        self.folder.path().join("keys").display().to_string()
    }

    /// Starting a program, sealing five values of 32 bytes, and its end: medians of rounds in which each has its turn.
    fn one_secret(&self, rounds: usize) -> Result<String> {
        fs::write(self.repository().join("one.yaml"), secret("one", 0))?;
        let mut contenders = vec![
            Contender {
                name: "strongroom seal",
                program: self.strongroom.display().to_string(),
                arguments: words("seal one.yaml"),
            },
            Contender {
                name: "strongroom --version",
                program: self.strongroom.display().to_string(),
                arguments: words("--version"),
            },
        ];
        contenders.extend(self.others()?);
        let mut times: Vec<Vec<Duration>> = contenders.iter().map(|_| Vec::new()).collect();
        let mut sizes = vec![0; contenders.len()];
        for round in 0..=rounds {
            for ((contender, times), size) in contenders.iter().zip(&mut times).zip(&mut sizes) {
                let begun = Instant::now();
                let stdout = self.output(&contender.program, &contender.arguments)?;
                // The first round warms up.
                if round > 0 {
                    times.push(begun.elapsed());
                }
                *size = stdout.len();
            }
        }
        let mut out = format!(
            "one Secret of five values, median of {rounds} rounds\n| program | ms | against strongroom | bytes |\n|---|---:|---:|---:|\n"
        );
        let medians: Vec<_> = times.into_iter().map(median).collect();
        let first = medians.first().copied().unwrap_or_default();
        for ((contender, median), size) in contenders.iter().zip(&medians).zip(sizes) {
            let ratio = median.as_secs_f64() / first.as_secs_f64();
            out += &format!(
                "| {} | {:.2} | {ratio:.2} | {size} |\n",
                contender.name,
                median.as_secs_f64() * 1e3
            );
        }
        Ok(out)
    }

    /// The others, each with a key of its own, sealing the same file to stdout.
    fn others(&self) -> Result<Vec<Contender>> {
        let mut out = Vec::new();
        let key = self.folder.path().join("age.key").display().to_string();
        if self.is_there("age-keygen") {
            if !Path::new(&key).exists() {
                self.output("age-keygen", &["-pq".into(), "-o".into(), key.clone()])?;
            }
            let public = String::from_utf8(self.output("age-keygen", &["-y".into(), key])?)?
                .trim()
                .to_owned();
            if self.is_there("age") {
                out.push(Contender {
                    name: "age",
                    program: "age".into(),
                    arguments: words(&format!("-a -r {public} one.yaml")),
                });
            }
            if self.is_there("sops") {
                let arguments = words(&format!(
                    "--disable-version-check --age {public} --encrypted-regex ^stringData$ --encrypt one.yaml"
                ));
                out.push(Contender { name: "sops (age)", program: "sops".into(), arguments });
            }
        }
        if self.is_there("kubeseal") {
            let certificate = self.folder.path().join("kubeseal.pem").display().to_string();
            if self.make_certificate(&certificate).is_ok() {
                let arguments = words(&format!("--cert {certificate} --format yaml -f one.yaml"));
                out.push(Contender { name: "kubeseal", program: "kubeseal".into(), arguments });
            }
        }
        Ok(out)
    }

    /// One of five values changed, by each program's own way to change one: lines that are not as before, and the bytes in them.
    fn one_changed(&self) -> Result<String> {
        let repository = self.repository();
        fs::write(repository.join("only.yaml"), only_value())?;
        let mut out = String::from(
            "one of five values changed\n| program | lines | bytes |\n|---|---:|---:|\n",
        );
        let others = self.others()?;
        for contender in
            std::iter::once("strongroom seal").chain(others.iter().map(|other| other.name))
        {
            let file = repository.join("changed.yaml");
            let seal = match others.iter().find(|other| other.name == contender) {
                Some(other) => self.output(&other.program, &other.arguments)?,
                None => {
                    self.output(&self.strongroom.display().to_string(), &words("seal one.yaml"))?
                }
            };
            fs::write(&file, &seal)?;
            let change = match (contender, others.iter().find(|other| other.name == contender)) {
                ("strongroom seal", _) => self.output(
                    &self.strongroom.display().to_string(),
                    &words("set changed.yaml k0 --from-file only.yaml"),
                ),
                ("sops (age)", _) => {
                    let key = self.folder.path().join("age.key");
                    let output = Command::new("sops")
                        .args([
                            "--disable-version-check",
                            "set",
                            "changed.yaml",
                            "[\"stringData\"][\"k0\"]",
                            "\"another value\"",
                        ])
                        .current_dir(&repository)
                        .env("SOPS_AGE_KEY_FILE", key)
                        .output()?;
                    ensure!(
                        output.status.success(),
                        "sops: {}",
                        String::from_utf8_lossy(&output.stderr)
                    );
                    Ok(output.stdout)
                }
                ("kubeseal", Some(other)) => {
                    let mut arguments: Vec<_> =
                        other.arguments.iter().take_while(|word| *word != "-f").cloned().collect();
                    arguments.extend(words("-f only.yaml --merge-into changed.yaml"));
                    self.output("kubeseal", &arguments)
                }
                // age knows files, and no values.
                (_, Some(other)) => self
                    .output(&other.program, &other.arguments)
                    .and_then(|again| Ok(fs::write(&file, &again).map(|()| again)?)),
                _ => continue,
            };
            change?;
            let (before, after) = (String::from_utf8(seal)?, fs::read_to_string(&file)?);
            let old: std::collections::BTreeSet<_> = before.lines().collect();
            let new: Vec<_> = after.lines().filter(|line| !old.contains(line)).collect();
            let bytes: usize = new.iter().map(|line| line.len() + 1).sum();
            out += &format!("| {contender} | {} | {bytes} |\n", new.len());
        }
        Ok(out)
    }

    fn many(&self, secrets: usize) -> Result<String> {
        let files: Vec<_> = (0..secrets).map(|i| format!("d{}/s{i}.yaml", i / 50)).collect();
        for (i, file) in files.iter().enumerate() {
            let path = self.repository().join(file);
            fs::create_dir_all(path.parent().context("a folder")?)?;
            fs::write(path, secret(&format!("s{i}"), i))?;
        }
        let mut arguments = vec!["seal", "-i"];
        arguments.extend(files.iter().map(String::as_str));
        let seal = self.timed(&arguments)?;
        let keys = self.keys();
        for _ in 1..KEYS {
            self.run(&["sealing-keys", "rotate", "--dir", &keys])?;
        }
        let ring = format!("{keys}/sealing.keys");
        let open = self.timed(&["recover", ".", "--check", "--key", &ring])?;
        self.run(&["sealing-keys", "fetch", &format!("{keys}/bench.yaml")])?;
        let rewrap = self.timed(&["reseal", "--all", "--key", &ring])?;
        let disk = self.disk(&files)?;
        Ok(format!(
            "{secrets} Secrets of five values\n| | s |\n|---|---:|\n| seal -i, a file each | {seal:.2} |\n\
             | writing these files and making each durable, nothing else, one after the other | {disk:.2} |\n\
             | open all, 30 keys in the ring | {open:.2} |\n| reseal --all after a rotation | {rewrap:.2} |\n"
        ))
    }

    /// Opening one object by a process of its own, with many keys at hand: ours names its key, Bitnami's is tried with each.
    fn many_keys(&self, secrets: usize) -> Result<String> {
        const TIMES: usize = 20;
        let mut out = format!(
            "one object of five values opened by a reader with {KEYS} keys, median of {TIMES}\n| program | ms | for {secrets}, reckoned, s |\n|---|---:|---:|\n"
        );
        let mut time = |name: &str, program: &str, arguments: &[String]| {
            let mut times = Vec::new();
            for _ in 0..TIMES {
                let begun = Instant::now();
                self.output(program, arguments)?;
                times.push(begun.elapsed());
            }
            let one = median(times).as_secs_f64();
            out += &format!("| {name} | {:.2} | {:.0} |\n", one * 1e3, one * secrets as f64);
            anyhow::Ok(())
        };
        let ring = format!("{}/sealing.keys", self.keys());
        let strongroom = self.strongroom.display().to_string();
        time("strongroom unseal", &strongroom, &words(&format!("unseal d0/s0.yaml --key {ring}")))?;
        if self.is_there("kubeseal") && self.is_there("openssl") {
            let names: Vec<_> = (0..KEYS)
                .map(|i| self.folder.path().join(format!("rsa{i}.pem")).display().to_string())
                .collect();
            names.iter().try_for_each(|name| self.make_certificate(name))?;
            let sealed = self.repository().join("theirs.json");
            let with = names.get(KEYS / 2).context("a key in the middle")?;
            let seal = format!("--cert {with} --format json -f one.yaml");
            fs::write(&sealed, self.output("kubeseal", &words(&seal))?)?;
            let keys: Vec<_> = names.iter().map(|name| format!("{name}.key")).collect();
            let open = format!(
                "--recovery-unseal --recovery-private-key {} -f {}",
                keys.join(","),
                sealed.display()
            );
            time("kubeseal --recovery-unseal", "kubeseal", &words(&open))?;
        }
        Ok(out)
    }

    /// A key of RSA-4096 and its certificate, as Bitnami's controller has them.
    fn make_certificate(&self, path: &str) -> Result<()> {
        let request = format!(
            "req -x509 -newkey rsa:4096 -nodes -days 30 -subj /CN=bench -keyout {path}.key -out {path}"
        );
        self.output("openssl", &words(&request)).map(drop)
    }

    /// What the disk takes for as many files of that size.
    fn disk(&self, files: &[String]) -> Result<f64> {
        let begun = Instant::now();
        for file in files {
            let path = self.repository().join(file);
            let text = fs::read(&path)?;
            durable::replace(&path, &text, 0o644, &|_| {})?;
        }
        Ok(begun.elapsed().as_secs_f64())
    }

    fn lint(&self, manifests: usize) -> Result<String> {
        let folder = self.folder.path().join("manifests");
        fs::create_dir_all(folder.join(".git"))?;
        for i in 0..manifests {
            let path = folder.join(format!("d{}", i / 100));
            fs::create_dir_all(&path)?;
            fs::write(path.join(format!("m{i}.yaml")), deployment(i))?;
        }
        let begun = Instant::now();
        let status = Command::new(&self.strongroom)
            .arg("lint")
            .current_dir(&folder)
            .stdout(Stdio::null())
            .status()?;
        let time = begun.elapsed().as_secs_f64();
        ensure!(status.success(), "lint found something in what is clean");
        Ok(format!("lint of {manifests} manifests: {time:.2} s\n"))
    }

    fn timed(&self, arguments: &[&str]) -> Result<f64> {
        let begun = Instant::now();
        self.run(arguments)?;
        Ok(begun.elapsed().as_secs_f64())
    }

    fn run(&self, arguments: &[&str]) -> Result<()> {
        let arguments: Vec<_> = arguments.iter().map(|&word| word.to_owned()).collect();
        self.output(&self.strongroom.display().to_string(), &arguments).map(drop)
    }

    fn output(&self, program: &str, arguments: &[String]) -> Result<Vec<u8>> {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(self.repository())
            .env("HOME", self.folder.path())
            .env_remove("XDG_CACHE_HOME")
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("{program} does not start"))?;
        ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(output.stdout)
    }

    fn is_there(&self, program: &str) -> bool {
        Command::new(program)
            .arg("--help")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok()
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn secret(name: &str, i: usize) -> String {
    let values: String =
        (0..5).map(|j| format!("  k{j}: value-{i:08}-{j}-0123456789abcde\n")).collect();
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n  namespace: bench\nstringData:\n{values}"
    )
}

/// A Secret with the one value that changes.
fn only_value() -> String {
    "apiVersion: v1\nkind: Secret\nmetadata:\n  name: one\n  namespace: bench\nstringData:\n  k0: another value\n".to_owned()
}

fn deployment(i: usize) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-{i}\n  namespace: bench\n  labels:\n    app.kubernetes.io/name: app-{i}\nspec:\n  replicas: 2\n  selector:\n    matchLabels:\n      app: app-{i}\n  template:\n    metadata:\n      labels:\n        app: app-{i}\n    spec:\n      containers:\n      - name: app\n        image: registry.example.org/app:1.{i}.0\n        env:\n        - name: LOG_LEVEL\n          value: info\n        - name: PASSWORD\n          valueFrom:\n            secretKeyRef:\n              name: app-{i}\n              key: password\n        ports:\n        - containerPort: 8080\n        resources:\n          requests:\n            cpu: 100m\n            memory: 64Mi\n"
    )
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
