//! What an edit costs beside merely parsing: both in one run, so that the ratio means something on any machine.
//!
//! `cargo bench -p splice` prints a line for each text: the best of many runs of each side, taken in turn.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use saphyr_parser::Parser;
use splice::{Splice, parse};

const SECRET: &str = "\
apiVersion: v1
kind: Secret
metadata:
  name: database
  namespace: prod
  labels:
    app.kubernetes.io/name: database
    app.kubernetes.io/managed-by: kustomize
  annotations:
    example.com/owner: \"team-a\" # who to ask
type: Opaque
stringData:
  password: 'hunter2'
  url: postgres://db.prod.svc:5432/app
  tls.crt: |
    -----BEGIN CERTIFICATE-----
    MIIBszCCAVmgAwIBAgIUQ2xhc3NpYyBleGFtcGxlIG9mIGEgY2VydGlmaWNhdGU=
    MIIBszCCAVmgAwIBAgIUQ2xhc3NpYyBleGFtcGxlIG9mIGEgY2VydGlmaWNhdGU=
    -----END CERTIFICATE-----
";

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: prod}
spec:
  replicas: 3
  selector:
    matchLabels:
      app: app
  template:
    spec:
      containers:
      - name: app
        image: registry.example.com/app:v1.2.3
        env:
        - name: PASSWORD
          valueFrom:
            secretKeyRef: {name: database, key: password}
        ports:
        - containerPort: 8080
          protocol: TCP
";

fn main() {
    let pair = format!("---\n{SECRET}---\n{DEPLOYMENT}");
    let item = SECRET.lines().enumerate().fold(String::new(), |mut out, (number, line)| {
        out.push_str(if number == 0 { "- " } else { "  " });
        out.push_str(line);
        out.push('\n');
        out
    });
    let texts = [
        ("3 KiB, 4 documents", format!("{SECRET}---\n{DEPLOYMENT}{pair}")),
        ("4 KiB, 1 document", format!("items:\n{}", item.repeat(6))),
        ("1 MiB, 1,600 documents", pair.repeat((1 << 20) / pair.len())),
        ("1 MiB, 1 document", format!("items:\n{}", item.repeat((1 << 20) / item.len()))),
    ];
    println!("{:24} {:>10} {:>10} {:>10} {:>6}", "text", "parser", "parse", "and edit", "ratio");
    for (name, text) in texts {
        let rounds = if text.len() > 100_000 { 15 } else { 1500 };
        let (mut merely, mut ours, mut edited) = (Duration::MAX, Duration::MAX, Duration::MAX);
        for _ in 0..rounds {
            merely = merely.min(time(|| {
                Parser::new_from_str(&text).for_each(|event| drop(black_box(event)));
            }));
            ours = ours.min(time(|| drop(black_box(parse(text.as_bytes())))));
            edited = edited.min(time(|| drop(black_box(edit(&text)))));
        }
        let ratio = edited.as_secs_f64() / merely.as_secs_f64();
        println!(
            "{name:24} {:8.0}µs {:8.0}µs {:8.0}µs {ratio:5.2}×",
            merely.as_secs_f64() * 1e6,
            ours.as_secs_f64() * 1e6,
            edited.as_secs_f64() * 1e6
        );
    }
}

fn time(run: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    run();
    begin.elapsed()
}

/// Sets one password, in the first Secret.
fn edit(text: &str) -> Option<String> {
    let file = parse(text.as_bytes()).ok()?;
    let root = file.node(file.documents().first()?.root()?);
    let secret = match root.get("items") {
        Some(items) => file.node(file.node(items).items().next()?),
        None => root,
    };
    let data = file.node(secret.get("stringData")?);
    let mut splice = Splice::new(&file);
    splice.set(data.get("password")?, "s7f3a9c21.new").ok()?;
    splice.finish().ok()
}
