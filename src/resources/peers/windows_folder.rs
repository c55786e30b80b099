//! Where the files are that the programs of one user share on Windows.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use super::warn_once;

const NAME: &str = "tower-local-service";

/// The folder of this user, made at first need; `None`, and a warning, where there can be none.
pub(crate) fn ours() -> Option<Arc<PathBuf>> {
    static OURS: LazyLock<Option<Arc<PathBuf>>> = LazyLock::new(|| {
        let local = env::var_os("LOCALAPPDATA").map(PathBuf::from);
        let found = find(local.as_deref());
        found.inspect_err(warn_once).ok().map(Arc::new)
    });
    OURS.clone()
}

/// In the folder of programs' data on this machine, which the system lets this user and administrators alone enter.
fn find(local: Option<&Path>) -> io::Result<PathBuf> {
    let local = local.filter(|path| path.is_absolute());
    let local = local.ok_or_else(|| io::Error::other("LOCALAPPDATA names no folder"))?;
    let folder = local.join(NAME);
    fs::create_dir_all(&folder)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", folder.display())))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_made_and_found_again() {
        let local = env::temp_dir().join(format!("local-service-folder-{}", std::process::id()));
        for _ in 0..2 {
            let folder = find(Some(&local)).unwrap();
            assert!(folder.is_dir() && folder.starts_with(&local));
        }
        fs::remove_dir_all(&local).unwrap();
    }

    #[test]
    fn without_a_folder_of_this_user_there_is_none() {
        for local in [None, Some(Path::new("relative"))] {
            let error = find(local).unwrap_err();
            assert!(error.to_string().contains("LOCALAPPDATA"), "{error}");
        }
    }
}
