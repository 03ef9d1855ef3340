//! Tables, as the target's schema describes them: read page by page on both sides, written in
//! batches. Numbers are 64 bits wide, texts are taken byte for byte, and no value has any other
//! type.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context as _, bail, ensure};
use common::Db;
use common::failure::may_pass;
use sha2::{Digest as _, Sha256};
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row as _};

/// Rows that are read at once, and written by one statement.
const PAGE: usize = 500;
/// What is written by one statement, or a single row if that is larger: servers take some MiB.
const STATEMENT_BYTES: usize = 1 << 20;

/// A table, with columns in its own order.
#[derive(Debug)]
pub(super) struct Table {
    name: String,
    columns: Vec<Column>,
    /// The primary key's columns, in its order.
    key: Vec<usize>,
}

#[derive(Debug)]
struct Column {
    name: String,
    is_number: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Null,
    Number(i64),
    Text(String),
}

type Row = Vec<Value>;

/// What a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Contents {
    rows: u64,
    digest: [u8; 32],
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows, SHA-256 ", self.rows)?;
        // Enough for people to compare.
        self.digest[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Table {
    /// All tables of a service in MariaDB, but the one that tells its migrations.
    ///
    /// # Errors
    /// The database fails, or has a column of a type that no migration of ours makes.
    pub(super) async fn all(db: &Db) -> anyhow::Result<Vec<Self>> {
        const COLUMNS: &str = "SELECT table_name, column_name, CAST(data_type AS CHAR(32)) \
             FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name <> '_sqlx_migrations' \
             ORDER BY table_name, ordinal_position";
        const KEYS: &str = "SELECT table_name, column_name FROM information_schema.statistics \
             WHERE table_schema = DATABASE() AND index_name = 'PRIMARY' ORDER BY table_name, seq_in_index";
        let mut tables: Vec<Self> = Vec::new();
        for row in sqlx::query(COLUMNS).fetch_all(db.reader()).await? {
            let (table, name, data_type): (String, String, String) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let is_number = match data_type.as_str() {
                "bigint" | "smallint" | "int" => true,
                "varchar" | "text" => false,
                other => bail!("the column {table}.{name} has the type {other}, which can't be moved"),
            };
            if tables.last().is_none_or(|last| last.name != table) {
                tables.push(Self { name: table, columns: Vec::new(), key: Vec::new() });
            }
            if let Some(table) = tables.last_mut() {
                table.columns.push(Column { name, is_number });
            }
        }
        for row in sqlx::query(KEYS).fetch_all(db.reader()).await? {
            let (of, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            if let Some(table) = tables.iter_mut().find(|table| table.name == of) {
                table.key.extend(table.columns.iter().position(|column| column.name == name));
            }
        }
        for table in &tables {
            ensure!(!table.key.is_empty(), "the table {} has no primary key", table.name);
        }
        Ok(tables)
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Copies all rows. The target's table is empty.
    ///
    /// # Errors
    /// A database fails; or a row can't be had there, which is named by its key.
    pub(super) async fn copy(&self, from: &Db, to: &Db) -> anyhow::Result<()> {
        self.ensure_types(from).await?;
        let mut after = None;
        loop {
            let page = self.page(from, after.as_ref()).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(self.key_of(last));
            for batch in batches(&page) {
                self.write(to, batch).await?;
            }
        }
    }

    /// Reads all rows.
    ///
    /// # Errors
    /// The database fails.
    pub(super) async fn digest(&self, db: &Db) -> anyhow::Result<Contents> {
        let (mut rows, mut digest, mut after) = (0, Sha256::new(), None);
        loop {
            let page = self.page(db, after.as_ref()).await?;
            let Some(last) = page.last() else { return Ok(Contents { rows, digest: digest.finalize().into() }) };
            after = Some(self.key_of(last));
            rows += page.len() as u64;
            page.iter().flatten().for_each(|value| value.add_to(&mut digest));
        }
    }

    /// The rows that come next, by primary key: numbers and bytes have one order on both sides.
    async fn page(&self, db: &Db, after: Option<&Row>) -> anyhow::Result<Vec<Row>> {
        let (columns, order) = (names(&self.columns), self.key_names().join(", "));
        let (condition, values) = after.map_or_else(Default::default, |after| self.beyond(after, db.is_shared()));
        let sql = format!("SELECT {columns} FROM {} {condition} ORDER BY {order} LIMIT {PAGE}", self.name);
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in values {
            query = bind(query, value, false);
        }
        let rows = query.fetch_all(db.reader()).await?;
        rows.iter().map(|row| self.read(row)).collect()
    }

    /// A condition that each database answers from the key's index, and its values.
    fn beyond(&self, after: &Row, is_shared: bool) -> (String, Vec<Value>) {
        let names = self.key_names();
        if !is_shared {
            let marks = vec!["?"; names.len()].join(", ");
            return (format!("WHERE ({}) > ({marks})", names.join(", ")), after.clone());
        }
        let (mut ways, mut values) = (Vec::new(), Vec::new());
        for n in 0..names.len() {
            let mut way: Vec<String> = names[..n].iter().map(|name| format!("{name} = ?")).collect();
            way.push(format!("{} > ?", names[n]));
            ways.push(format!("({})", way.join(" AND ")));
            values.extend_from_slice(&after[..=n]);
        }
        (format!("WHERE {}", ways.join(" OR ")), values)
    }

    fn read(&self, row: &AnyRow) -> anyhow::Result<Row> {
        let value = |(n, column): (usize, &Column)| {
            let value = if column.is_number {
                row.try_get::<Option<i64>, _>(n).map(|value| value.map(Value::Number))
            } else {
                row.try_get::<Option<String>, _>(n).map(|value| value.map(Value::Text))
            };
            value.map(|value| value.unwrap_or(Value::Null)).with_context(|| format!("reading {}", column.name))
        };
        self.columns.iter().enumerate().map(value).collect()
    }

    /// Writes some rows at once; if they are refused, one by one, to find out which is.
    async fn write(&self, to: &Db, rows: &[Row]) -> anyhow::Result<()> {
        match self.insert(to, rows).await {
            Err(error) if !may_pass(&error) => {}
            done => return Ok(done?),
        }
        for row in rows {
            let inserted = self.insert(to, std::slice::from_ref(row)).await;
            inserted.with_context(|| format!("the row with {}", self.shown(&self.key_of(row))))?;
        }
        Ok(())
    }

    async fn insert(&self, to: &Db, rows: &[Row]) -> sqlx::Result<()> {
        let marks = format!("({})", vec!["?"; self.columns.len()].join(", "));
        let marks = vec![marks; rows.len()].join(", ");
        let sql = format!("INSERT INTO {} ({}) VALUES {marks}", self.name, names(&self.columns));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for row in rows {
            for (value, column) in row.iter().zip(&self.columns) {
                query = bind(query, value.clone(), column.is_number);
            }
        }
        let mut tx = to.begin().await?;
        query.execute(&mut *tx).await?;
        tx.commit().await
    }

    /// SQLite takes any value in any column: refuses what its column is not made for.
    async fn ensure_types(&self, from: &Db) -> anyhow::Result<()> {
        let is_other = |column: &Column| {
            let made_for = if column.is_number { "integer" } else { "text" };
            format!("typeof({}) NOT IN ('null', '{made_for}')", column.name)
        };
        let others: Vec<String> = self.columns.iter().map(is_other).collect();
        let key: Vec<String> = self.key_names().iter().map(|name| format!("CAST({name} AS TEXT)")).collect();
        let (key, others) = (key.join(", "), others.join(" OR "));
        let sql = format!("SELECT {key} FROM {} WHERE {others} LIMIT 1", self.name);
        if let Some(row) = sqlx::query(AssertSqlSafe(sql)).fetch_optional(from.reader()).await? {
            let key: Row = (0..self.key.len()).map(|n| row.try_get(n).map_or(Value::Null, Value::Text)).collect();
            bail!("the row with {} has a value that its column is not made for", self.shown(&key));
        }
        Ok(())
    }

    fn key_names(&self) -> Vec<&str> {
        self.key.iter().map(|n| self.columns[*n].name.as_str()).collect()
    }

    fn key_of(&self, row: &Row) -> Row {
        self.key.iter().map(|n| row[*n].clone()).collect()
    }

    /// A key as people read it.
    fn shown(&self, key: &Row) -> String {
        let part = |(name, value): (&str, &Value)| match value {
            Value::Null => format!("{name} NULL"),
            Value::Number(number) => format!("{name} {number}"),
            Value::Text(text) => format!("{name} {text:?}"),
        };
        self.key_names().into_iter().zip(key).map(part).collect::<Vec<_>>().join(", ")
    }
}

impl Value {
    const fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Null | Self::Number(_) => 8,
        }
    }

    /// So that no two tables give the same bytes.
    fn add_to(&self, digest: &mut Sha256) {
        match self {
            Self::Null => digest.update([0]),
            Self::Number(number) => {
                digest.update([1]);
                digest.update(number.to_be_bytes());
            }
            Self::Text(text) => {
                digest.update([2]);
                digest.update((text.len() as u64).to_be_bytes());
                digest.update(text.as_bytes());
            }
        }
    }
}

/// Holds that the data folder's database has these tables and no others.
///
/// # Errors
/// It has not, or can't be read.
pub(super) async fn ensure_same(service: &str, from: &Db, tables: &[Table]) -> anyhow::Result<()> {
    const ALL: &str = "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> '_sqlx_migrations' \
                       AND name NOT LIKE 'sqlite%'";
    let here: Vec<String> = sqlx::query_scalar(ALL).fetch_all(from.reader()).await?;
    let here: BTreeSet<&str> = here.iter().map(String::as_str).collect();
    let there: BTreeSet<&str> = tables.iter().map(Table::name).collect();
    let odd: Vec<&str> = here.symmetric_difference(&there).copied().collect();
    ensure!(odd.is_empty(), "only one side has these tables of {service}: {}", odd.join(", "));
    Ok(())
}

fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn bind<'q>(query: Query<'q, Any, AnyArguments>, value: Value, is_number: bool) -> Query<'q, Any, AnyArguments> {
    match value {
        Value::Number(number) => query.bind(number),
        Value::Text(text) => query.bind(text),
        Value::Null if is_number => query.bind(None::<i64>),
        Value::Null => query.bind(None::<String>),
    }
}

/// Rows that fit into a statement together; at least one each.
fn batches(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |row: &&Row| {
            bytes += row.iter().map(Value::bytes).sum::<usize>();
            bytes <= STATEMENT_BYTES
        };
        let n = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (batch, later) = rest.split_at(n);
        rest = later;
        (!batch.is_empty()).then_some(batch)
    })
}
