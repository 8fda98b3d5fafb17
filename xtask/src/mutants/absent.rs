//! Builds that people use know nothing of the deliberate bugs.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::simulator::target_folder;

/// Programs that are looked at where they have been built.
const PROGRAMS: &[&str] = &["chronik-server", "chronik-sim"];

/// Fails where a release build names a mutant.
pub(super) fn check(names: &[&str]) -> Result<(), String> {
    for program in PROGRAMS {
        let path = target_folder().join("release").join(program);
        let said = match fs::read(&path) {
            Ok(bytes) => no_name_in(&bytes, names, &path)?,
            Err(error) if error.kind() == ErrorKind::NotFound => "is not built, so not looked at",
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        println!("release build of {program}: {said}");
    }
    Ok(())
}

fn no_name_in(bytes: &[u8], names: &[&str], path: &Path) -> Result<&'static str, String> {
    match name_in(bytes, names) {
        Some(name) => Err(format!("{} knows the mutant {name}", path.display())),
        None => Ok("has no name of a mutant in it"),
    }
}

/// One pass, as programs are large and names are many.
fn name_in<'a>(bytes: &[u8], names: &[&'a str]) -> Option<&'a str> {
    let mut begins = [false; 256];
    for first in names.iter().filter_map(|name| name.as_bytes().first()) {
        begins[usize::from(*first)] = true;
    }
    (0..bytes.len()).find_map(|at| {
        let rest = &bytes[at..];
        let may = begins[usize::from(rest[0])];
        let mut found = names.iter().filter(|_| may);
        found
            .find(|name| rest.starts_with(name.as_bytes()))
            .copied()
    })
}

#[cfg(test)]
mod tests {
    use super::name_in;

    #[test]
    fn a_name_is_found_anywhere() {
        let check = |bytes: &str, found: Option<&str>| {
            assert_eq!(
                name_in(bytes.as_bytes(), &["Name", "Other"]),
                found,
                "{bytes}"
            );
        };
        check("Name", Some("Name"));
        check("..NNameN", Some("Name"));
        check("Nam, NOther", Some("Other"));
        check("..Nam", None);
        check("", None);
    }
}
