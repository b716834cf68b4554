//! The README says what the catalog says.

use groq_sim::catalog;
use groq_sim::catalog::{COMMON, Parameter};

const README: &str = include_str!("../../README.md");

fn cell(parameters: &[Parameter]) -> String {
    let each = parameters.iter().map(|parameter| match parameter.default {
        "" => format!("`{}`: {}", parameter.name, parameter.summary),
        default => format!("`{}={default}`: {}", parameter.name, parameter.summary),
    });
    each.collect::<Vec<_>>().join("; ")
}

/// A failure prints the rows to paste.
#[test]
fn the_readme_lists_every_scenario_and_option_as_the_catalog_has_them() {
    let scenarios = catalog()
        .iter()
        .map(|entry| format!("| `{}` | {} | {} |", entry.name, entry.summary, cell(entry.parameters)));
    let options = COMMON.iter().map(|parameter| {
        format!(
            "| `{}` | {:?} | {} |",
            parameter.name, parameter.kind, parameter.summary
        )
    });
    for rows in [scenarios.collect::<Vec<_>>(), options.collect()] {
        let table = rows.join("\n");
        assert!(README.contains(&table), "the README lacks these rows:\n{table}");
    }
}

#[test]
fn the_readme_names_every_variable_and_endpoint() {
    for name in [
        "GROQ_SIM_ADDR",
        "GROQ_SIM_TTFT_MS",
        "GROQ_SIM_TOKEN_MS",
        "GROQ_SIM_ANSWER_TOKENS",
        "GROQ_SIM_SCENARIO",
        "GROQ_SIM_LIMIT_REQUESTS",
        "GROQ_SIM_LIMIT_TOKENS",
        "GROQ_SIM_KEEP",
        "GROQ_SIM_LIMIT_REQUESTS_MINUTE",
        "GROQ_SIM_LIMIT_TOKENS_DAY",
        "GROQ_SIM_ENFORCE_LIMITS",
        "GROQ_SIM_ANSWER_LANGUAGE",
        "GROQ_SIM_SCRIPTS",
        "GROQ_SIM_MODEL_SPEED",
        "/_sim/model-speed",
        "/_sim/limits",
        "/_sim/model-scenario",
        "/_sim/list-scenario",
        "/_sim/availability",
        "/_sim/language",
        "/_sim/advance",
        "/_sim/scripts",
        "/_sim/books",
        "/_sim/scenarios",
        "/_sim/scenario",
        "/_sim/next",
        "/_sim/pace",
        "/_sim/answer",
        "/_sim/reset",
        "/_sim/requests",
        "/_sim/calls",
    ] {
        assert!(README.contains(name), "{name}");
    }
}

#[test]
fn the_readme_s_script_can_be_played() {
    let (_, after) = README.split_once("```json\n").unwrap();
    let (json, _) = after.split_once("```").unwrap();
    assert!(groq_sim::script::Script::parse(json).unwrap().steps.len() > 5);
}
