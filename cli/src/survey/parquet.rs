//! The rows of a survey as a Parquet file.

use super::{
    columns::{COLUMNS, Cell, Column},
    row::Row,
};
use parquet::{
    basic::{LogicalType, Repetition, Type as Physical},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    errors::{ParquetError, Result},
    file::{
        properties::WriterProperties,
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::types::{Type, TypePtr},
};
use std::sync::Arc;

/// The rows as a Parquet file with one row group: whole numbers are `INT64`, what a row does not have is null.
///
/// # Errors
/// A number needs more than 63 bits, or the file cannot be made.
pub fn parquet(rows: &[Row]) -> Result<Vec<u8>> {
    let cells: Vec<Vec<Cell>> =
        COLUMNS.iter().map(|column| rows.iter().map(column.of).collect()).collect();
    let fields = COLUMNS.iter().map(field).collect::<Result<_>>()?;
    let schema = Type::group_type_builder("survey").with_fields(fields).build()?;
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), properties)?;
    let mut group = writer.next_row_group()?;
    for cells in &cells {
        let column = group.next_column()?;
        let mut column = column.ok_or_else(|| ParquetError::General("too few columns".into()))?;
        write(&mut column, cells)?;
        column.close()?;
    }
    group.close()?;
    writer.into_inner()
}

/// The type of a column, which a row without anything tells.
fn field(column: &Column) -> Result<TypePtr> {
    let nothing = Row::Failed(super::FailedRow::new(String::new(), String::new()));
    let (physical, logical, repetition) = match (column.of)(&nothing) {
        Cell::Flag(_) => (Physical::BOOLEAN, None, Repetition::REQUIRED),
        Cell::Text(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String), Repetition::OPTIONAL),
        Cell::Whole(_) => (Physical::INT64, None, Repetition::OPTIONAL),
        Cell::Real(_) => (Physical::DOUBLE, None, Repetition::OPTIONAL),
    };
    let field = Type::primitive_type_builder(column.name, physical);
    Ok(Arc::new(field.with_logical_type(logical).with_repetition(repetition).build()?))
}

fn write(column: &mut SerializedColumnWriter<'_>, cells: &[Cell]) -> Result<()> {
    match cells.first() {
        None => Ok(()),
        Some(Cell::Flag(_)) => {
            let flags: Vec<bool> =
                cells.iter().map(|cell| matches!(cell, Cell::Flag(true))).collect();
            column.typed::<BoolType>().write_batch(&flags, None, None).map(|_| ())
        }
        Some(Cell::Text(_)) => optional::<ByteArrayType>(column, cells, |cell| match cell {
            Cell::Text(text) => Ok(text.as_deref().map(ByteArray::from)),
            _ => Ok(None),
        }),
        Some(Cell::Whole(_)) => optional::<Int64Type>(column, cells, |cell| match cell {
            Cell::Whole(Some(number)) => {
                let wide = |_| ParquetError::General(format!("{number} needs more than 63 bits"));
                i64::try_from(*number).map(Some).map_err(wide)
            }
            _ => Ok(None),
        }),
        Some(Cell::Real(_)) => optional::<DoubleType>(column, cells, |cell| match cell {
            Cell::Real(number) => Ok(*number),
            _ => Ok(None),
        }),
    }
}

/// Writes a column whose rows may have nothing.
fn optional<T: DataType>(
    column: &mut SerializedColumnWriter<'_>,
    cells: &[Cell],
    of: impl Fn(&Cell) -> Result<Option<T::T>>,
) -> Result<()> {
    let found: Vec<Option<T::T>> = cells.iter().map(of).collect::<Result<_>>()?;
    let levels: Vec<i16> = found.iter().map(|it| i16::from(it.is_some())).collect();
    let values: Vec<T::T> = found.into_iter().flatten().collect();
    column.typed::<T>().write_batch(&values, Some(&levels), None).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survey::FailedRow;
    use parquet::{
        file::reader::{FileReader, SerializedFileReader},
        record::Field,
    };

    #[test]
    fn what_was_written_is_read() {
        let failed = FailedRow::new("a.json".to_owned(), "no block".to_owned());
        let bytes = parquet(&[Row::Failed(failed)]).unwrap();
        let reader =
            SerializedFileReader::new(alloy_primitives::bytes::Bytes::from(bytes)).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 1);
        let fields: Vec<(&String, &Field)> = rows[0].get_column_iter().collect();
        assert_eq!(fields.len(), COLUMNS.len());
        for (column, (name, field)) in COLUMNS.iter().zip(fields) {
            let expected = match column.name {
                "file" => Field::Str("a.json".to_owned()),
                "error" => Field::Str("no block".to_owned()),
                "ok" => Field::Bool(false),
                _ => Field::Null,
            };
            assert_eq!((column.name, field), (name.as_str(), &expected));
        }
    }
}
