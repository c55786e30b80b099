//! Where the files are that the programs of one user share.

use std::{
    env,
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use rustix::process::geteuid;

use super::warn_once;

const NAME: &str = "tower-local-service";

/// The folder of this user, made at first need; `None`, and a warning, where there can be none.
pub(crate) fn ours() -> Option<Arc<PathBuf>> {
    static OURS: LazyLock<Option<(Arc<PathBuf>, File)>> = LazyLock::new(|| {
        let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let found = find(runtime.as_deref(), &env::temp_dir());
        let kept = found.and_then(|folder| Ok((Arc::new(folder.clone()), keep(&folder)?)));
        kept.inspect_err(warn_once).ok()
    });
    OURS.as_ref().map(|(folder, _)| folder.clone())
}

/// What cleans up old temporary files (systemd-tmpfiles) leaves a folder alone that is locked.
fn keep(folder: &Path) -> io::Result<File> {
    let folder = File::open(folder)?;
    // Where it cannot be locked it is not cleaned up for that, either.
    drop(folder.try_lock_shared());
    Ok(folder)
}

/// In `XDG_RUNTIME_DIR`, if it is this user's (under `sudo` it may be another user's), or else among the temporary
/// files, with the number of the user in its name.
fn find(runtime: Option<&Path>, temporary: &Path) -> io::Result<PathBuf> {
    let user = geteuid().as_raw();
    let is_ours = |path: &&Path| fs::metadata(path).is_ok_and(|it| it.is_dir() && it.uid() == user);
    let folder = match runtime.filter(|path| path.is_absolute()).filter(is_ours) {
        Some(runtime) => runtime.join(NAME),
        None => temporary.join(format!("{NAME}-{user}")),
    };
    match private(&folder, user) {
        Ok(()) => Ok(folder),
        Err(error) => Err(io::Error::new(
            error.kind(),
            format!("{}: {error}", folder.display()),
        )),
    }
}

/// Makes the folder if need be; an error if another user could put something into it.
fn private(folder: &Path, user: u32) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Of the folder itself: where a link leads to may be another place in a moment.
    let found = fs::symlink_metadata(folder)?;
    let refused = if !found.is_dir() {
        "is no folder"
    } else if found.uid() != user {
        "belongs to another user"
    } else if found.mode() & 0o077 != 0 {
        "is open to other users"
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, refused))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// An empty folder that goes with the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("local-service-folder-{name}-{}", std::process::id());
            let path = env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn the_folder_is_made_for_this_user_alone_and_found_again() {
        let (runtime, temporary) = (Scratch::new("made-in"), Scratch::new("not-made-in"));
        for _ in 0..2 {
            let folder = find(Some(&runtime.0), &temporary.0).unwrap();
            assert_eq!(folder, runtime.0.join(NAME));
            assert_eq!(fs::metadata(folder).unwrap().mode() & 0o777, 0o700);
        }
        assert_eq!(fs::read_dir(&temporary.0).unwrap().count(), 0);
    }

    #[test]
    fn without_a_runtime_folder_of_this_user_it_is_among_the_temporary_ones() {
        let temporary = Scratch::new("temporary");
        let gone = temporary.0.join("gone");
        for runtime in [None, Some(gone.as_path()), Some(Path::new("relative"))] {
            let folder = find(runtime, &temporary.0).unwrap();
            let name = format!("{NAME}-{}", geteuid().as_raw());
            assert_eq!(folder, temporary.0.join(name));
        }
    }

    #[test]
    fn what_others_could_write_to_is_refused() {
        let scratch = Scratch::new("refused");
        let folder = scratch.0.join(NAME);
        let refused = || find(Some(&scratch.0), &scratch.0).unwrap_err().to_string();

        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(refused().contains("open to other users"), "{}", refused());
        fs::remove_dir(&folder).unwrap();

        std::os::unix::fs::symlink("/tmp", &folder).unwrap();
        assert!(refused().contains("no folder"), "{}", refused());
        fs::remove_file(&folder).unwrap();

        fs::write(&folder, "").unwrap();
        assert!(refused().contains("no folder"), "{}", refused());
    }

    #[test]
    fn the_folder_of_another_user_is_refused() {
        let scratch = Scratch::new("anothers");
        let somebody = geteuid().as_raw() + 1;
        let refused = private(&scratch.0.join("x"), somebody).unwrap_err();
        assert!(refused.to_string().contains("another user"), "{refused}");
    }
}
