//! Columns of all types.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Server, build, query, target};
use crate::route::answer::Answer;
use crate::route::resolver::sql::testing::{mariadb, postgres};

const MOMENT: u64 = 1_700_000_000;

/// Makes a table of one row with a column of each type (`name type value`), and gives the text
/// that each is read as, through `owner`.
async fn read(server: &impl Server, table: &str, columns: &[(&str, &str)]) -> Vec<Option<String>> {
    let definitions: Vec<_> =
        columns.iter().enumerate().map(|(n, (kind, _))| format!("c{n} {kind}")).collect();
    let values: Vec<_> = columns.iter().map(|(_, value)| *value).collect();
    server.sql(&format!(
        "CREATE TABLE {table} ({}); INSERT INTO {table} VALUES ({});",
        definitions.join(", "),
        values.join(", ")
    ));
    let mut read = Vec::new();
    for (n, column) in columns.iter().enumerate() {
        let answer = row(server, &format!("c{n} AS owner FROM {table}")).await;
        read.push(answer.unwrap_or_else(|e| panic!("{column:?}: {e}")).owner);
    }
    read
}

async fn row(server: &impl Server, what: &str) -> Result<Answer, String> {
    let query_text = format!("SELECT 'h' AS host, 1 AS port, {what} WHERE :key = 'k'");
    let d = build(&server.url(), &query_text, &[]);
    d.resolve(query("k")).await.map(Option::unwrap).map_err(|e| e.to_string())
}

async fn check(server: &impl Server, table: &str, types: &[(&str, &str, &str)]) {
    let columns: Vec<_> = types.iter().map(|(kind, value, _)| (*kind, *value)).collect();
    for (read, (kind, value, expected)) in read(server, table, &columns).await.iter().zip(types) {
        assert_eq!(read.as_deref().unwrap_or("absent"), *expected, "{kind} {value}");
    }
}

#[tokio::test]
async fn types_of_postgres_are_read() {
    postgres()
        .sql("CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('running', 'creating'); CREATE DOMAIN short AS varchar(9)");
    let types = [
        ("int2", "-7", "-7"),
        ("int4", "6901", "6901"),
        ("int8", "9223372036854775807", "9223372036854775807"),
        ("numeric", "6901", "6901"),
        ("numeric(10,2)", "6901", "6901"),
        ("numeric(10,2)", "-0.05", "-0.05"),
        ("numeric", "12345678901234567890.000100", "12345678901234567890.000100"),
        ("numeric", "0", "0"),
        ("numeric", "10000", "10000"),
        ("numeric", "0.00001", "0.00001"),
        ("float4", "0.5", "0.5"),
        ("float8", "1700000000.25", "1700000000.25"),
        ("float8", "6901", "6901"),
        ("text", "'a b'", "a b"),
        ("varchar(9)", "'a '", "a "),
        ("char(9)", "'alice'", "alice"),
        ("name", "'alice'", "alice"),
        ("citext", "'Alice'", "Alice"),
        ("short", "'alice'", "alice"),
        ("mood", "'creating'", "creating"),
        ("uuid", "'6F9619FF-8B86-D011-B42D-00C04FC964FF'", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        ("uuid", "'00000000-0000-0000-0000-000000000001'", "00000000-0000-0000-0000-000000000001"),
        ("inet", "'10.0.0.5'", "10.0.0.5"),
        ("inet", "'10.0.0.5/32'", "10.0.0.5"),
        ("inet", "'10.0.0.5/24'", "10.0.0.5/24"),
        ("cidr", "'10.0.0.5/32'", "10.0.0.5"),
        ("inet", "'fd00::5'", "fd00::5"),
        ("cidr", "'fd00::/8'", "fd00::/8"),
        ("bool", "true", "true"),
        ("bool", "false", "false"),
        ("timestamp", "'2023-11-14 22:13:20.25'", "2023-11-14T22:13:20.25Z"),
        ("timestamptz", "'2023-11-14 23:13:20+01'", "2023-11-14T22:13:20Z"),
        ("timestamptz", "'1969-12-31 23:59:59+00'", "1969-12-31T23:59:59Z"),
        ("timestamptz", "'infinity'", "absent"),
        ("date", "'2023-11-14'", "2023-11-14T00:00:00Z"),
        ("date", "'infinity'", "absent"),
        ("json", "'{\"a\": 1}'", "{\"a\": 1}"),
        ("jsonb", "'{\"a\":1}'", "{\"a\": 1}"),
        ("bytea", "'alice'", "alice"),
        ("xml", "'<a/>'", "<a/>"),
        ("text", "NULL", "absent"),
        ("inet", "NULL", "absent"),
    ];
    check(postgres(), "types", &types).await;
}

#[tokio::test]
async fn types_of_mariadb_are_read() {
    let types = [
        ("tinyint", "-7", "-7"),
        ("bool", "true", "1"),
        ("smallint", "-30000", "-30000"),
        ("smallint unsigned", "65535", "65535"),
        ("tinyint unsigned", "255", "255"),
        ("mediumint", "-8000000", "-8000000"),
        ("mediumint unsigned", "16000000", "16000000"),
        ("int", "6901", "6901"),
        ("int unsigned", "4000000000", "4000000000"),
        ("int(5) unsigned zerofill", "80", "80"),
        ("bigint", "-1", "-1"),
        ("bigint unsigned", "18446744073709551615", "18446744073709551615"),
        ("decimal(10,2)", "6901", "6901"),
        ("decimal(10,2)", "-0.05", "-0.05"),
        ("float", "0.5", "0.5"),
        ("double", "1700000000.25", "1700000000.25"),
        ("double", "6901", "6901"),
        ("text", "'grün'", "grün"),
        ("varchar(9) CHARACTER SET latin1", "'grün'", "grün"),
        ("varchar(9)", "'a '", "a "),
        ("char(9)", "'alice'", "alice"),
        ("enum('running','creating')", "'creating'", "creating"),
        ("set('a','b')", "'a,b'", "a,b"),
        ("binary(9)", "'alice'", "alice"),
        ("varbinary(9)", "'alice'", "alice"),
        ("blob", "'alice'", "alice"),
        ("longtext", "'alice'", "alice"),
        ("json", "'{\"a\": 1}'", "{\"a\": 1}"),
        ("year", "2023", "2023"),
        ("date", "'2023-11-14'", "2023-11-14 00:00:00.000000"),
        ("datetime", "'2023-11-14 22:13:20'", "2023-11-14 22:13:20.000000"),
        ("datetime(3)", "'2023-11-14 22:13:20.25'", "2023-11-14 22:13:20.250000"),
        ("datetime", "'2023-11-14 00:00:00'", "2023-11-14 00:00:00.000000"),
        ("uuid", "'6F9619FF-8B86-D011-B42D-00C04FC964FF'", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        ("inet6", "'fd00::5'", "fd00::5"),
        ("text", "NULL", "absent"),
        ("datetime", "NULL", "absent"),
    ];
    check(mariadb(), "types", &types).await;
}

#[tokio::test]
async fn unreadable_columns_have_a_name() {
    for (what, said) in [
        ("ARRAY[1] AS owner", "column owner is of the type int4[], cast it to text"),
        ("interval '1 s' AS state", "column state is of the type interval, cast it to text"),
        ("'\\xff'::bytea AS owner", "column owner is binary data, cast it to text"),
        ("'-infinity'::date AS expires", "column expires is of the type date, cast it to text"),
        ("'NaN'::numeric AS expires", "column expires is of the type numeric, cast it to text"),
        ("ROW(1) AS id", "column id is of the type record, cast it to text"),
    ] {
        let error = row(postgres(), what).await.unwrap_err();
        assert_eq!(error, format!("malformed answer: {said}"));
    }
    for (what, said) in [
        ("x'ff' AS owner", "column owner is binary data, cast it to text"),
        ("CAST('01:00' AS time) AS state", "column state is of the type time, cast it to text"),
        ("POINT(1, 2) AS id", "column id is of the type geometry, cast it to text"),
    ] {
        let error = row(mariadb(), what).await.unwrap_err();
        assert_eq!(error, format!("malformed answer: {said}"));
    }
    // Columns that an answer has no use for may be anything.
    assert!(row(postgres(), "ARRAY[1] AS tags, interval '1 s' AS age").await.is_ok());
    assert!(row(mariadb(), "x'ff' AS picture, POINT(1, 2) AS place").await.is_ok());
}

#[tokio::test]
async fn times_are_utc() {
    let moment = Some(UNIX_EPOCH + Duration::from_secs(MOMENT));
    let expires = async |server: &dyn Fn(String) -> (String, String), what: &str| {
        let (url, text) = server(format!("SELECT 'h' AS host, 1 AS port, {what} AS expires"));
        let d = build(&url, &format!("{text} WHERE :key = 'k'"), &[]);
        d.resolve(query("k")).await.unwrap().unwrap().expires
    };
    let on_postgres = |text| (postgres().url(), text);
    let on_mariadb = |text| (mariadb().url(), text);
    for what in [
        "timestamptz '2023-11-14 22:13:20+00'",
        "timestamp '2023-11-14 22:13:20'",
        "timestamptz '2023-11-15 00:13:20 Europe/Helsinki'",
        "1700000000",
        "1700000000.0",
        "'2023-11-14T22:13:20Z'",
    ] {
        assert_eq!(expires(&on_postgres, what).await, moment, "{what}");
    }
    for what in
        ["CAST('2023-11-14 22:13:20' AS datetime)", "FROM_UNIXTIME(1700000000)", "1700000000"]
    {
        assert_eq!(expires(&on_mariadb, what).await, moment, "{what}");
    }
    let never: Option<SystemTime> = None;
    assert_eq!(expires(&on_postgres, "timestamptz 'infinity'").await, never);
    // A zero date is as good as NULL.
    mariadb().sql(
        "SET sql_mode = ''; CREATE TABLE zero (host text, port int, expires datetime);
        INSERT INTO zero VALUES ('h', 1, '0000-00-00 00:00:00')",
    );
    let d = build(&mariadb().url(), "SELECT * FROM zero WHERE :key = 'k'", &[]);
    assert_eq!(target(&*d, "k").await, Ok(Some("ws://h:1".into())));
}
