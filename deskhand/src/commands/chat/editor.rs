//! A text, changed in the person's own editor.

use std::env;
use std::io::Write;

use tempfile::NamedTempFile;
use tokio::process::Command;

use crate::failure::Failure;
use crate::input;
use crate::interrupt::Interrupts;

/// What became of the text. Ctrl-C is the editor's meanwhile.
pub(super) async fn edited(text: &str, stop: &mut Interrupts) -> Result<String, Failure> {
    let named = |variable| env::var_os(variable).filter(|editor| !editor.is_empty());
    let editor = named("VISUAL").or_else(|| named("EDITOR")).ok_or_else(|| {
        Failure::Usage("which editor? Set EDITOR, or write the text in the same line: /edit TEXT".to_owned())
    })?;
    let wrong = |error: std::io::Error| Failure::Local(format!("cannot edit the text: {error}"));
    let file = written(text).map_err(wrong)?;
    // The variable may hold arguments, as with other programs.
    let mut child = Command::new("sh")
        .arg("-c")
        .arg("exec $0 \"$1\"")
        .arg(editor)
        .arg(file.path())
        .kill_on_drop(true)
        .spawn()
        .map_err(wrong)?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.map_err(wrong)?,
            () = stop.next() => {}
        }
    };
    if !status.success() {
        return Err(Failure::Local(format!(
            "the editor failed ({status}): nothing was done"
        )));
    }
    // Some editors put a new file in the old one's place.
    input::file(file.path())
}

fn written(text: &str) -> std::io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix("deskhand-").suffix(".txt").tempfile()?;
    file.write_all(text.as_bytes())?;
    file.flush()?;
    Ok(file)
}
