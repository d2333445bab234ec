//! What the databases have in common: binding, and a row as named texts.

use sqlx::{Column, ColumnIndex, Encode, Row, Type, ValueRef};

use crate::route::answer::Answer;
use crate::route::resolver::bind::BoundQuery;
use crate::route::resolver::{Query, ResolveError};

/// Columns by name, as text, without those that are NULL.
pub(super) type Fields = Vec<(String, String)>;

/// Why a value is no text: what it is instead. The column's name is added here.
pub(super) struct Unreadable(pub(super) String);

/// The query with its values.
pub(super) fn bound<'q, D>(
    bound: &'q BoundQuery,
    query: &Query,
) -> sqlx::query::Query<'q, D, D::Arguments<'q>>
where
    D: sqlx::Database,
    Option<String>: Encode<'q, D> + Type<D>,
{
    bound.binds.iter().fold(sqlx::query(&bound.sql), |sql, bind| sql.bind(bind.value(query)))
}

/// The fields of `row` that an answer has; `text` reads a value that is not NULL, and may say that
/// it counts as absent. Other columns may be of any type.
pub(super) fn fields<'r, R: Row>(
    row: &'r R,
    text: impl Fn(<R::Database as sqlx::Database>::ValueRef<'r>) -> Result<Option<String>, Unreadable>,
) -> Result<Option<Fields>, ResolveError>
where
    usize: ColumnIndex<R>,
{
    let mut fields = Vec::new();
    for column in row.columns().iter().filter(|column| Answer::has_field(column.name())) {
        let name = column.name();
        let malformed = |what: &str| {
            ResolveError::Malformed(format!("column {name} is {what}, cast it to text"))
        };
        let value = row.try_get_raw(column.ordinal()).map_err(|e| malformed(&e.to_string()))?;
        if value.is_null() {
            continue;
        }
        let text = text(value).map_err(|Unreadable(what)| malformed(&what))?;
        fields.extend(text.map(|text| (name.to_owned(), text)));
    }
    Ok(Some(fields))
}

/// Bytes that ought to be text.
pub(super) fn utf8(bytes: &[u8]) -> Result<String, Unreadable> {
    let text = str::from_utf8(bytes).map_err(|_| Unreadable("binary data".into()))?;
    Ok(text.to_owned())
}

/// A decimal number; a whole one without its `.00`.
pub(super) fn decimal(text: &str) -> String {
    match text.split_once('.') {
        Some((whole, rest)) if rest.bytes().all(|b| b == b'0') => whole.to_owned(),
        _ => text.to_owned(),
    }
}

/// What an error says, in one line, without what sqlx puts before it.
pub(super) fn reason(error: &sqlx::Error) -> String {
    use sqlx::Error::{Configuration, Database, Io};
    let text = match error {
        Database(e) => e.message().to_owned(),
        Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the server closed the connection".to_owned()
        }
        Io(e) => e.to_string(),
        Configuration(e) => e.to_string(),
        other => other.to_string(),
    };
    text.replace(char::is_control, " ")
}
