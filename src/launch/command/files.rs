//! Whether the files of a launch can be used.

use std::{
    fs::{self, Metadata},
    io,
    path::Path,
};

use super::Launch;
use crate::{error::Problem, secrets::shown_command};

/// Why the process could not be started now, or not safely.
///
/// Checked when a service is created, for a warning, and before each start, which it then refuses:
/// files come and go, and a server that runs already needs none of them.
pub(crate) fn file_problems(launch: &Launch, service: &str) -> Vec<Problem> {
    let command = program_problem(&launch.command, service, "command");
    let cwd = launch.cwd.as_deref().and_then(cwd_problem);
    let cwd = cwd.map(|it| Problem::new(service, "cwd", it));
    command.into_iter().chain(cwd).collect()
}

/// Why this program, of that field, could not be started now.
pub(crate) fn program_problem(path: &Path, service: &str, field: &str) -> Option<Problem> {
    command_problem(path).map(|it| Problem::new(service, field, it))
}

/// What is no reason to refuse a start, but should be known.
pub(crate) fn file_warnings(launch: &Launch, service: &str) -> Vec<Problem> {
    let path = &launch.command;
    let is_open = fs::metadata(path).is_ok_and(|it| is_open_to_all(&it));
    let warning = is_open.then(|| {
        let message = format!(
            "names {}, which every user of this machine may change: run chmod o-w on it, unless it is \
             on a disk that has no modes (a Windows disk, vfat, some network shares)",
            shown_command(path)
        );
        Problem::new(service, "command", message)
    });
    warning.into_iter().collect()
}

fn command_problem(path: &Path) -> Option<String> {
    let fault = match fs::metadata(path) {
        Ok(metadata) => mode_fault(&metadata)?.to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => missing(path).to_owned(),
        Err(error) => format!("cannot be examined ({error}): correct the path or its permissions"),
    };
    Some(format!("names {}, which {fault}", shown_command(path)))
}

fn missing(path: &Path) -> &'static str {
    let mut with_ending = path.as_os_str().to_owned();
    with_ending.push(".exe");
    // A shell of Windows would run that.
    if cfg!(windows) && Path::new(&with_ending).is_file() {
        "does not exist: write its ending as well, `.exe`"
    } else if path.to_string_lossy().contains(' ') {
        "does not exist: write only the program here, and its arguments into `args`"
    } else {
        "does not exist: install it there or correct the path"
    }
}

fn mode_fault(metadata: &Metadata) -> Option<&'static str> {
    if metadata.is_dir() {
        Some("is a directory: write the path of a program in it")
    } else if !metadata.is_file() {
        Some("is no regular file: write the path of a program")
    } else if !is_executable(metadata) {
        Some("is not executable: run chmod +x on it")
    } else {
        None
    }
}

#[cfg(unix)]
fn is_executable(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    metadata.permissions().mode() & 0o111 != 0
}

/// There, nothing but the start tells.
#[cfg(not(unix))]
fn is_executable(_: &Metadata) -> bool {
    true
}

/// On a file system without modes every file looks like that, and `chmod` does nothing.
#[cfg(unix)]
fn is_open_to_all(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    metadata.is_file() && metadata.permissions().mode() & 0o002 != 0
}

/// There are lists of rights in the place of modes, which are not read.
#[cfg(not(unix))]
fn is_open_to_all(_: &Metadata) -> bool {
    false
}

fn cwd_problem(path: &Path) -> Option<String> {
    let fault = match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return None,
        Ok(_) => "is no directory: write the path of a directory".to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if path.starts_with("~") {
                "does not exist, and no shell is there to expand `~`: write it in full".to_owned()
            } else {
                "does not exist: create the directory or correct the path".to_owned()
            }
        }
        Err(error) => format!("cannot be examined ({error}): correct the path or its permissions"),
    };
    Some(format!("names {:?}, which {fault}", path.to_string_lossy()))
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::{
        env,
        os::unix::fs::PermissionsExt as _,
        path::PathBuf,
        process,
        sync::atomic::{AtomicU32, Ordering},
    };

    use super::*;

    /// A directory of its own for each test, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name = format!(
                "tls-files-{}-{}",
                process::id(),
                NEXT.fetch_add(1, Ordering::Relaxed)
            );
            let path = env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, mode: u32) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    fn problem(launch: &Launch) -> Option<Problem> {
        let problems = file_problems(launch, "llama");
        assert!(problems.len() <= 1, "{problems:?}");
        problems.into_iter().next()
    }

    fn in_folder(program: PathBuf, cwd: PathBuf) -> Launch {
        Launch {
            cwd: Some(cwd),
            ..Launch::new(program)
        }
    }

    fn of_command(path: impl Into<PathBuf>, fact: &str, hint: &str) {
        let problem = problem(&Launch::new(path.into())).unwrap();
        assert_eq!((&*problem.service, &*problem.field), ("llama", "command"));
        assert!(problem.message.contains(fact), "{}", problem.message);
        assert!(problem.message.contains(hint), "{}", problem.message);
    }

    #[test]
    fn a_program_that_can_be_started_has_no_problem() {
        let folder = Folder::new();
        let program = folder.file("server", 0o755);
        assert_eq!(problem(&in_folder(program, folder.0.clone())), None);
    }

    #[test]
    fn each_fault_of_the_command_has_its_hint() {
        let folder = Folder::new();
        of_command(folder.0.join("none"), "does not exist", "install it");
        of_command(folder.0.join("none --port 1"), "does not exist", "`args`");
        of_command(&folder.0, "a directory", "in it");
        of_command("/dev/null", "no regular file", "a program");
        of_command(folder.file("plain", 0o644), "not executable", "chmod +x");
        of_command(
            folder.file("file", 0o755).join("below"),
            "cannot be examined",
            "permissions",
        );
    }

    #[test]
    fn a_program_that_everybody_may_change_is_a_warning_and_no_problem() {
        let folder = Folder::new();
        let (program, link) = (folder.file("shared", 0o777), folder.0.join("link"));
        std::os::unix::fs::symlink(&program, &link).unwrap();
        for path in [program, link] {
            let launch = Launch::new(path);
            assert_eq!(problem(&launch), None);
            let warnings = file_warnings(&launch, "llama");
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert_eq!(warnings[0].field, "command");
            for part in ["every user", "chmod o-w", "no modes"] {
                assert!(warnings[0].message.contains(part), "{warnings:?}");
            }
        }
        let own = Launch::new(folder.file("own", 0o755));
        assert_eq!(file_warnings(&own, "llama"), []);
    }

    #[test]
    fn a_link_is_judged_by_what_it_points_to() {
        let folder = Folder::new();
        let link = folder.0.join("link");
        std::os::unix::fs::symlink(folder.file("plain", 0o644), &link).unwrap();
        of_command(link, "not executable", "chmod +x");
    }

    #[test]
    fn a_missing_working_directory_is_not_taken_for_a_missing_command() {
        let folder = Folder::new();
        let program = folder.file("server", 0o755);
        for (cwd, fact) in [
            (folder.0.join("none"), "does not exist"),
            (program.clone(), "no directory"),
            ("~/models".into(), "`~`"),
        ] {
            let problem = problem(&in_folder(program.clone(), cwd)).unwrap();
            assert_eq!(problem.field, "cwd");
            assert!(problem.message.contains(fact), "{}", problem.message);
        }
    }
}
