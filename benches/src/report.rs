//! The figures as Markdown, ready for docs/benchmarks.md.

use std::{fmt::Write as _, time::Duration};

use crate::{
    contender::Home,
    drive::Sample,
    life::Life,
    machine,
    rounds::{Cell, Plan},
};

/// Renders everything. The first home is the baseline of the ratios.
pub(crate) fn render(plan: &Plan, homes: &[Home], cells: &[Cell], lives: &[Life]) -> String {
    let mut text = String::new();
    preamble(&mut text, plan, homes);
    for cell in cells {
        load_table(&mut text, homes, cell);
    }
    if !lives.is_empty() {
        life_table(&mut text, homes, lives);
    }
    text.truncate(text.trim_end().len());
    text
}

fn preamble(text: &mut String, plan: &Plan, homes: &[Home]) {
    line(text, "## Machine and method\n");
    for (name, value) in machine::facts() {
        line(text, &format!("- {name}: {value}"));
    }
    line(
        text,
        &format!(
            "- {} rounds of {:?} per server, method and shape, after a warm-up of a tenth of that; the servers take turns in each round (A B, B A, …)\n\
             - figures are medians over the rounds; ratios are taken pair by pair inside each round, then their median, with the lowest and highest\n\
             - client and servers run on the same machine; {}. The client is {}, every answer checked. \"client\" is its share of one \
             core: near 100 % the client is the limit, not the server. \"others\" is the most of one core that everything else took in any round\n\
             - CPU is the server's user and system time, all threads, by the scheduler's clock, divided by the calls answered",
            plan.rounds,
            plan.stretch,
            plan.cores,
            if plan.kube_client.is_some() {
                "kube-apiserver's own"
            } else {
                "one thread, HTTP/2 without a gRPC library"
            }
        ),
    );
    for home in homes {
        let Home { contender, .. } = home;
        let program = contender.path.file_name().unwrap_or_default().to_string_lossy();
        let arguments =
            contender.arguments.iter().fold(String::new(), |all, word| all + " " + word);
        line(text, &format!("- `{}`: `{program}{arguments}`", contender.name));
    }
}

fn load_table(text: &mut String, homes: &[Home], cell: &Cell) {
    line(text, &format!("\n## {}, {}\n", cell.method, cell.shape));
    line(
        text,
        "| server | calls/s | p50 µs | p99 µs | p99.9 µs | CPU µs/call | client | others | rate ratio | CPU ratio |",
    );
    line(text, "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let baseline = cell.samples.first().map_or(&[][..], Vec::as_slice);
    for (at, (home, samples)) in homes.iter().zip(&cell.samples).enumerate() {
        let of = |figure: &dyn Fn(&Sample) -> f64| median(samples.iter().map(figure).collect());
        let ratio = |figure: &dyn Fn(&Sample) -> f64| {
            if at == 0 {
                return "1".to_owned();
            }
            let pairs: Vec<f64> = samples
                .iter()
                .zip(baseline)
                .map(|(own, base)| figure(own) / figure(base))
                .collect();
            spread(&pairs)
        };
        let row = format!(
            "| {} | {} | {:.0} | {:.0} | {:.0} | {:.1} | {:.0} % | {:.0} % | {} | {} |",
            home.contender.name,
            thousands(of(&Sample::rate)),
            of(&|sample| micros(sample.latency(0.5))),
            of(&|sample| micros(sample.latency(0.99))),
            of(&|sample| micros(sample.latency(0.999))),
            of(&|sample| micros(sample.server_cpu_per_call())),
            of(&|sample| 100.0 * sample.client_cpu.as_secs_f64() / sample.elapsed.as_secs_f64()),
            samples.iter().map(|sample| 100.0 * sample.others).fold(0.0, f64::max),
            ratio(&Sample::rate),
            ratio(&|sample| micros(sample.server_cpu_per_call())),
        );
        line(text, &row);
    }
}

fn life_table(text: &mut String, homes: &[Home], lives: &[Life]) {
    line(text, "\n## Start, restart, memory, size\n");
    line(
        text,
        "| server | binary MiB | start to first Status ms (max) | restart by SIGTERM ms (max) | restart by SIGKILL ms (max) | RSS idle MiB (anonymous) | RSS after calls MiB (anonymous) | calls |",
    );
    line(text, "|---|---:|---:|---:|---:|---:|---:|---:|");
    for (home, life) in homes.iter().zip(lives) {
        let (calls, after) = life.after_calls;
        let restarts = life.restarts.as_ref();
        let row = format!(
            "| {} | {} | {} | {} | {} | {:.1} ({:.1}) | {:.1} ({:.1}) | {} |",
            home.contender.name,
            life.size.map_or_else(|| "–".to_owned(), |size| format!("{:.1}", mebi(size))),
            times(&life.starts),
            times(restarts.map_or(&[], |restarts| &restarts.terminated)),
            times(restarts.map_or(&[], |restarts| &restarts.killed)),
            mebi(life.idle.all),
            mebi(life.idle.anonymous),
            mebi(after.all),
            mebi(after.anonymous),
            thousands(calls as f64),
        );
        line(text, &row);
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "{line}");
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match (
        figures.len() % 2,
        figures.get(middle),
        middle.checked_sub(1).and_then(|below| figures.get(below)),
    ) {
        (0, Some(above), Some(below)) => f64::midpoint(*above, *below),
        (_, Some(middle), _) => *middle,
        _ => f64::NAN,
    }
}

fn spread(pairs: &[f64]) -> String {
    let (low, high) = pairs
        .iter()
        .fold((f64::INFINITY, 0.0_f64), |(low, high), pair| (low.min(*pair), high.max(*pair)));
    format!("{:.2} ({low:.2}–{high:.2})", median(pairs.to_vec()))
}

fn times(times: &[Duration]) -> String {
    match times.iter().max() {
        None => "–".to_owned(),
        Some(max) => {
            let millis = |time: &Duration| time.as_secs_f64() * 1e3;
            format!("{:.1} ({:.1})", median(times.iter().map(millis).collect()), millis(max))
        }
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn mebi(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn thousands(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_or_the_mean_of_the_two_middles() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(vec![]).is_nan());
    }

    #[test]
    fn ratios_are_told_with_their_spread() {
        assert_eq!(spread(&[0.9, 1.1, 1.0]), "1.00 (0.90–1.10)");
    }

    #[test]
    fn large_figures_are_grouped() {
        assert_eq!(thousands(1_234_567.4), "1,234,567");
        assert_eq!(thousands(999.0), "999");
        assert_eq!(thousands(1000.0), "1,000");
    }
}
