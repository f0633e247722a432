//! SARIF 2.1.0, judged by the schema of its authors.

use crate::repo::{Repo, secret};

const SCHEMA: &str = include_str!("../sarif/sarif-2.1.0-rtm.5.json");

/// What the schema has against a log.
fn refusal(log: &serde_json::Value) -> Option<String> {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("sarif.json", schema).unwrap();
    let mut schemas = boon::Schemas::new();
    let index = compiler.compile("sarif.json", &mut schemas).unwrap();
    schemas.validate(log, index).err().map(|error| format!("{error:#}"))
}

fn log(repo: &Repo, arguments: &[&str]) -> serde_json::Value {
    let output = repo.run("strongroom", &[&["lint", "--output", "sarif"], arguments].concat());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn logs_are_valid_by_the_schema() {
    let repo = Repo::new();
    repo.write("clean.yaml", "a: b\n");
    let base = repo.commit("base");
    let empty = log(&repo, &[]);
    assert_eq!(refusal(&empty), None);
    assert_eq!(empty["runs"][0]["results"].as_array().unwrap().len(), 0);
    repo.write("a b.yaml", secret("a"));
    repo.write("c.yaml", "kind: Secret\ndata: {a: b}   # strongroom:allow SR105 not that\n");
    repo.new_cluster("prod");
    repo.commit("two");
    for arguments in [&[][..], &["--range", &format!("{base}..HEAD")]] {
        let log = log(&repo, arguments);
        assert_eq!(refusal(&log), None);
        let results = log["runs"][0]["results"].as_array().unwrap();
        assert!(results.len() >= 3, "{log}");
        let rules = log["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
        for result in results {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
        }
        let place = &results.iter().find(|result| result["ruleId"] == "SR101").unwrap()["locations"]
            [0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "a%20b.yaml");
        assert_eq!(place["region"]["startLine"], 7);
    }
}

#[test]
fn the_schema_refuses_what_is_no_log() {
    let log = serde_json::json!({"version": "2.1.0", "runs": [{"tool": {}}]});
    let refused = refusal(&log).unwrap();
    assert!(refused.contains("driver"), "{refused}");
}
