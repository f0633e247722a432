//! Facts of the machine, without which a figure says nothing.

use std::fs;

/// Lines of text for the report.
pub(crate) fn facts() -> Vec<(&'static str, String)> {
    // Not what this process may use: that may be one core by now.
    let cores = fs::read_to_string("/proc/cpuinfo")
        .map(|text| text.lines().filter(|line| line.starts_with("processor")).count());
    let cores = cores.map_or_else(|_| "unknown".to_owned(), |cores| cores.to_string());
    let uname = rustix::system::uname();
    let kernel =
        format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy());
    vec![
        (
            "CPU",
            first_field("/proc/cpuinfo", "model name")
                .unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        ),
        ("cores", cores),
        (
            "memory",
            first_field("/proc/meminfo", "MemTotal").unwrap_or_else(|| "unknown".to_owned()),
        ),
        ("kernel", kernel),
        (
            "load average at the end",
            fs::read_to_string("/proc/loadavg")
                .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned()),
        ),
        (
            "build",
            if cfg!(debug_assertions) { "debug: these figures say nothing" } else { "release" }
                .to_owned(),
        ),
    ]
}

fn first_field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'))?.1;
    Some(value.trim().to_owned())
}
