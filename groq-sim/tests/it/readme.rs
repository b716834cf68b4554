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
