//! Migrations are built in: a changed one means a new build.

fn main() {
    println!("cargo::rerun-if-changed=../migrations");
}
