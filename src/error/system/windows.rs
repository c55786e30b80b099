//! The codes with which Windows ends a process, and those of `CreateProcess`.

/// There are none.
pub(in crate::error) fn signal_hint(_: i32) -> Option<&'static str> {
    None
}

pub(in crate::error) fn signal_name(_: i32) -> Option<&'static str> {
    None
}

/// What an exit code of the system (an `NTSTATUS`) says.
/// Source: <https://learn.microsoft.com/openspecs/windows_protocols/ms-erref/596a1078-e883-4972-9bbc-49e60bebca55>.
pub(in crate::error) fn code_hint(code: i32) -> Option<&'static str> {
    let hint = match code.cast_unsigned() {
        0xC000_0005 => {
            "it read or wrote memory that it does not have: often a driver or a library does not fit \
             the program; update the GPU driver, or use another build of it"
        }
        0xC000_001D => {
            "the program was built for another CPU (often with AVX2 or AVX-512): use a build for this \
             one, or build it on this machine"
        }
        0xC000_0017 | 0xC000_009A => "memory ran out: use a smaller model or free memory",
        0xC000_00FD => "its stack ran out: read its last output, and try another version of it",
        0xC000_0135 => {
            "a DLL is missing: install what the program needs (often the Visual C++ or CUDA runtime), \
             or add the folder of the DLL to PATH in `env`"
        }
        0xC000_0139 => {
            "a DLL is of another version than the program needs: remove the other one from PATH, or \
             install the one that came with the program"
        }
        0xC000_013A => "Ctrl-C, Ctrl-Break, or a console that was closed, ended it",
        0xC000_0142 => "a DLL could not be loaded: log in again, or repair the program",
        0xC000_0374 | 0xC000_0409 => {
            "the program gave up, mostly because a driver, a library or memory failed it: read its \
             last output, and update the GPU driver"
        }
        _ => return None,
    };
    Some(hint)
}

/// Source: <https://learn.microsoft.com/windows/win32/debug/system-error-codes--0-499->.
pub(in crate::error) fn spawn_hint(error: Option<i32>) -> &'static str {
    match error {
        Some(2 | 3) => "check that `command` and `cwd` exist, and write the ending (.exe)",
        Some(5) => "let this user run `command`, and enter `cwd`; it must not be a folder",
        Some(8 | 14) => "free memory",
        Some(32) => "try again when no program has `command` open for writing",
        Some(193) => "write a `command` that is a program for this machine (an .exe)",
        Some(206) => "shorten `args` or `env`",
        Some(740) => "use a `command` that needs no administrator",
        _ => "run `command` by hand, with the same `args` and `cwd`, to see why",
    }
}

#[cfg(test)]
mod tests {
    use crate::error::{Error, ErrorKind};

    #[test]
    fn what_windows_ends_a_process_with_is_said_in_words() {
        for (code, shown, hint) in [
            (0xC000_0135_u32, "code 0xC0000135", "a DLL is missing"),
            (
                0xC000_0005,
                "code 0xC0000005",
                "memory that it does not have",
            ),
            (0xC000_013A, "code 0xC000013A", "Ctrl-Break"),
            (0xC000_0409, "code 0xC0000409", "gave up"),
        ] {
            let kind = ErrorKind::Exited {
                code: Some(code.cast_signed()),
                signal: None,
            };
            let text = Error::new("llama", kind).to_string();
            assert!(text.contains(shown) && text.contains(hint), "{text}");
        }
    }
}
