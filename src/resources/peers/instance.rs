//! The lock of what runs at an address: its program has it, and the watchdog of what the program has started, which
//! keeps it until nothing of that is left.

use std::{fs::File, io, path::Path, sync::Arc};

use super::{
    files::{granted, open, open_existing, stem},
    text,
};
use crate::{config::Address, random};

/// So many characters name a time for which a program has the lock.
const KEY: usize = 32;

/// It is closed, and never unlocked: that would take the lock from the watchdog, too.
#[derive(Debug)]
pub(super) struct InstanceLock {
    file: Arc<File>,
    name: String,
}

impl InstanceLock {
    /// `None` while something of the last instance is left.
    pub(super) fn try_lock(folder: &Path, address: &Address) -> io::Result<Option<Self>> {
        let stem = stem(address);
        let file = open(&folder.join(file_name(&stem)))?;
        if !granted(file.try_lock())? {
            return Ok(None);
        }
        let key = format!("{:0KEY$x}", random::bits());
        text::write(&file, key.as_bytes())?;
        Ok(Some(Self {
            file: Arc::new(file),
            name: format!("{key}.{stem}"),
        }))
    }

    /// For the watchdog.
    pub(super) fn file(&self) -> Arc<File> {
        self.file.clone()
    }

    /// For [`is_left`]: no other lock has this name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// Whether a program has the lock of this name, or the watchdog of what such a program has started.
pub(super) fn is_left(folder: &Path, name: &str) -> io::Result<bool> {
    let Some((key, stem)) = name.split_once('.') else {
        return Ok(false);
    };
    let mut bytes = [0; KEY];
    Ok(match locked(folder, stem)? {
        Some(file) => text::read(&file, &mut bytes)? == KEY && bytes == key.as_bytes(),
        None => false,
    })
}

/// Whether anything is left of an instance at this address.
pub(super) fn is_left_at(folder: &Path, address: &Address) -> io::Result<bool> {
    Ok(locked(folder, &stem(address))?.is_some())
}

/// The file, if it is locked.
fn locked(folder: &Path, stem: &str) -> io::Result<Option<File>> {
    let Some(file) = open_existing(&folder.join(file_name(stem)))? else {
        return Ok(None);
    };
    Ok((!granted(file.try_lock_shared())?).then_some(file))
}

fn file_name(stem: &str) -> String {
    format!("{stem}.instance")
}
