//! httpd's expressions (`%{REMOTE_USER}`), compiled while the configuration is read.

use super::request::RequestRef;
use crate::ffi;
use crate::route::Expressions;
use std::ffi::{CStr, CString};
use std::ptr::NonNull;

/// One compiled string expression. Lives in the configuration pool.
#[derive(Debug, Clone)]
pub struct Expression {
    text: String,
    compiled: NonNull<ffi::ap_expr_info_t>,
}

// SAFETY: httpd never changes a compiled expression; the configuration pool outlives all threads
// that serve requests with that configuration.
unsafe impl Send for Expression {}
// SAFETY: as above.
unsafe impl Sync for Expression {}

impl Expression {
    /// Compiles `text`; the error is httpd's own.
    ///
    /// # Safety
    /// `cmd` must be the parameters that httpd gave to the directive being read.
    pub unsafe fn compile(cmd: *mut ffi::cmd_parms, text: &str) -> Result<Expression, String> {
        let c_text = CString::new(text).map_err(|_| "an expression holds a NUL".to_string())?;
        let mut error = std::ptr::null();
        // SAFETY: the caller guarantees cmd; httpd copies the text into the configuration pool.
        let compiled = unsafe {
            ffi::ap_expr_parse_cmd_mi(
                cmd,
                ffi::apr_pstrdup((*cmd).pool, c_text.as_ptr()),
                ffi::AP_EXPR_FLAG_STRING_RESULT,
                &mut error,
                None,
                crate::module::index(),
            )
        };
        match NonNull::new(compiled) {
            Some(compiled) if error.is_null() => Ok(Expression { text: text.to_owned(), compiled }),
            // SAFETY: httpd sets error to a message in its pool.
            _ => Err(format!("the expression \"{text}\" is not valid: {}", unsafe {
                message(error)
            })),
        }
    }
}

/// The expressions in force for one request.
pub struct ExpressionsOf<'a, 'r> {
    /// The request they are evaluated for.
    pub request: &'a RequestRef<'r>,
    /// The compiled ones.
    pub compiled: &'a [Expression],
}

impl Expressions for ExpressionsOf<'_, '_> {
    fn evaluate(&self, text: &str) -> Result<String, String> {
        let Some(expression) = self.compiled.iter().find(|e| e.text == text) else {
            return Err(format!("the expression \"{text}\" was not compiled"));
        };
        let mut error = std::ptr::null();
        // SAFETY: RequestRef guarantees a live request; the expression lives in the configuration.
        unsafe {
            let r = self.request.as_ptr();
            let value = ffi::ap_expr_str_exec(r, expression.compiled.as_ptr(), &mut error);
            if !error.is_null() || value.is_null() {
                return Err(message(error));
            }
            let value = CStr::from_ptr(value).to_str();
            value.map(str::to_owned).map_err(|_| format!("the value of \"{text}\" is not UTF-8"))
        }
    }
}

/// # Safety
/// `text` must be NULL or a C string.
unsafe fn message(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return "httpd gave no reason".to_owned();
    }
    // SAFETY: the caller guarantees it.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
