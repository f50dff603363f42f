using System.Globalization;
using System.Text.Json;
using Parquet;
using Parquet.Data;
using Parquet.Schema;

namespace GradientAtoms.Text.Documents;

/// <summary>
/// A field of a row group, read, with a place in it: writes its value in one row after the other. How deep a value is defined
/// and where a list goes on is told by the levels of its columns (Melnik et al. 2010).
/// </summary>
internal abstract class ParquetNode(string name)
{
    private const int DeepestNesting = 32;

    /// <summary>The field's name.</summary>
    public string Name { get; } = name;

    /// <summary>How deep the next value of the first column is defined.</summary>
    protected abstract int Defined { get; }

    /// <summary>At which list the next value of the first column goes on; 0 for a new row, -1 at the end.</summary>
    protected abstract int Repeated { get; }

    /// <summary>Writes the value and goes on.</summary>
    public abstract void Write(Utf8JsonWriter writer);

    /// <summary>A field that is not read: null in every row.</summary>
    public static ParquetNode Absent(Field field) => new AbsentNode(field.Name);

    /// <summary>Reads the columns of a field.</summary>
    /// <param name="group">The row group.</param>
    /// <param name="pages">The file again, to look at page headers.</param>
    /// <param name="field">The field.</param>
    /// <param name="mostValues">A column of more is refused.</param>
    /// <param name="depth">How deep the field is nested.</param>
    public static async Task<ParquetNode> ReadAsync(ParquetRowGroupReader group, Stream pages, Field field, long mostValues, int depth = 0)
    {
        if (depth > DeepestNesting)
        {
            throw new InvalidDataException($"{field.Path} is nested deeper than {DeepestNesting}");
        }

        switch (field)
        {
            case DataField data:
                var column = await ColumnOf(group, pages, data, mostValues).ConfigureAwait(false);
                return data.IsArray ? new ListNode(data.Name, new ColumnNode(column, data), data.MaxDefinitionLevel, data.MaxRepetitionLevel) : new ColumnNode(column, data);
            case ListField list:
                var item = await ReadAsync(group, pages, list.Item, mostValues, depth + 1).ConfigureAwait(false);
                return new ListNode(list.Name, item, list.MaxDefinitionLevel, list.MaxRepetitionLevel);
            case StructField parts:
                var children = new List<ParquetNode>();
                foreach (var part in parts.Fields)
                {
                    children.Add(await ReadAsync(group, pages, part, mostValues, depth + 1).ConfigureAwait(false));
                }

                return children.Count > 0 ? new StructNode(parts.Name, children, parts.MaxDefinitionLevel) : throw new InvalidDataException($"{field.Path} has no fields");
            case MapField map:
                var key = await ReadAsync(group, pages, map.Key, mostValues, depth + 1).ConfigureAwait(false);
                var value = await ReadAsync(group, pages, map.Value, mostValues, depth + 1).ConfigureAwait(false);
                return new MapNode(map.Name, key as ColumnNode ?? throw new InvalidDataException($"{field.Path} has keys that are no values"), value, map.MaxDefinitionLevel, map.MaxRepetitionLevel);
            default:
                throw new InvalidDataException($"{field.Path} is of the kind {field.SchemaType}");
        }
    }

    /// <summary>Goes on without a value, where a list or a struct above is null or empty.</summary>
    protected abstract void Skip();

    private static async Task<RawColumnData> ColumnOf(ParquetRowGroupReader group, Stream pages, DataField field, long mostValues)
    {
        var column = group.GetMetadata(field)?.MetaData ?? throw new InvalidDataException($"{field.Path} is missing");
        if (column.NumValues < 0 || column.NumValues > mostValues)
        {
            throw new InvalidDataException($"{field.Path} has {column.NumValues} values in one row group, and {mostValues} are the most that are read");
        }

        ParquetPages.Check(pages, column, mostValues);
        return await group.ReadRawColumnDataBaseAsync(field).ConfigureAwait(false);
    }

    private sealed class AbsentNode(string name) : ParquetNode(name)
    {
        protected override int Defined => 0;

        protected override int Repeated => 0;

        public override void Write(Utf8JsonWriter writer) => writer.WriteNullValue();

        protected override void Skip()
        {
        }
    }

    /// <summary>A column: values where they are defined, and the levels of all.</summary>
    private sealed class ColumnNode(RawColumnData data, DataField field) : ParquetNode(field.Name)
    {
        private readonly int deepest = field.MaxDefinitionLevel;
        private readonly bool hasRepetitions = field.MaxRepetitionLevel > 0;
        private int at;
        private int value;

        protected override int Defined => deepest == 0 ? 0 : data.DefinitionLevels[at];

        protected override int Repeated => !hasRepetitions ? 0 : at < data.RepetitionLevels.Length ? data.RepetitionLevels[at] : -1;

        public override void Write(Utf8JsonWriter writer)
        {
            if (Defined < deepest)
            {
                writer.WriteNullValue();
            }
            else
            {
                WriteValue(writer, value++);
            }

            at++;
        }

        /// <summary>The value as a key, and goes on.</summary>
        public string WriteKey()
        {
            var key = Defined < deepest ? "" : Text(value++);
            at++;
            return key;
        }

        protected override void Skip() => at++;

        private void WriteValue(Utf8JsonWriter writer, int index)
        {
            switch (data)
            {
                case RawColumnData<ReadOnlyMemory<char>> texts:
                    writer.WriteStringValue(texts.Values[index].Span);
                    break;
                case RawColumnData<bool> flags:
                    writer.WriteBooleanValue(flags.Values[index]);
                    break;
                case RawColumnData<int> wholes:
                    writer.WriteNumberValue(wholes.Values[index]);
                    break;
                case RawColumnData<long> wholes:
                    writer.WriteNumberValue(wholes.Values[index]);
                    break;
                case RawColumnData<double> reals:
                    WriteReal(writer, reals.Values[index]);
                    break;
                case RawColumnData<float> reals:
                    WriteReal(writer, reals.Values[index]);
                    break;
                case RawColumnData<byte> or RawColumnData<sbyte> or RawColumnData<short> or RawColumnData<ushort> or RawColumnData<uint> or RawColumnData<ulong>:
                    writer.WriteRawValue(Text(index));
                    break;
                default:
                    writer.WriteStringValue(Text(index));
                    break;
            }
        }

        private static void WriteReal(Utf8JsonWriter writer, double real)
        {
            if (double.IsFinite(real))
            {
                writer.WriteNumberValue(real);
            }
            else
            {
                writer.WriteNullValue(); // JSON has no such number
            }
        }

        private string Text(int index) => data switch
        {
            RawColumnData<ReadOnlyMemory<char>> texts => texts.Values[index].ToString(),
            RawColumnData<bool> flags => flags.Values[index] ? "true" : "false",
            RawColumnData<byte> numbers => Of(numbers.Values[index]),
            RawColumnData<sbyte> numbers => Of(numbers.Values[index]),
            RawColumnData<short> numbers => Of(numbers.Values[index]),
            RawColumnData<ushort> numbers => Of(numbers.Values[index]),
            RawColumnData<int> numbers => Of(numbers.Values[index]),
            RawColumnData<uint> numbers => Of(numbers.Values[index]),
            RawColumnData<long> numbers => Of(numbers.Values[index]),
            RawColumnData<ulong> numbers => Of(numbers.Values[index]),
            RawColumnData<decimal> numbers => Of(numbers.Values[index]),
            RawColumnData<DateTime> times => times.Values[index].ToString("O", CultureInfo.InvariantCulture),
            RawColumnData<DateOnly> days => days.Values[index].ToString("O", CultureInfo.InvariantCulture),
            RawColumnData<Guid> ids => ids.Values[index].ToString(),
            _ => $"({field.ClrType.Name})",
        };

        private static string Of(IFormattable number) => number.ToString(null, CultureInfo.InvariantCulture);
    }

    private sealed class StructNode(string name, List<ParquetNode> parts, int deepest) : ParquetNode(name)
    {
        protected override int Defined => parts[0].Defined;

        protected override int Repeated => parts[0].Repeated;

        public override void Write(Utf8JsonWriter writer)
        {
            if (Defined < deepest)
            {
                writer.WriteNullValue();
                Skip();
                return;
            }

            writer.WriteStartObject();
            foreach (var part in parts)
            {
                writer.WritePropertyName(part.Name);
                part.Write(writer);
            }

            writer.WriteEndObject();
        }

        protected override void Skip() => parts.ForEach(part => part.Skip());
    }

    /// <summary>What comes several times in a row.</summary>
    private abstract class RepeatedNode(string name, int deepest, int level) : ParquetNode(name)
    {
        /// <summary>What tells how often.</summary>
        protected abstract ParquetNode First { get; }

        protected override int Defined => First.Defined;

        protected override int Repeated => First.Repeated;

        public sealed override void Write(Utf8JsonWriter writer)
        {
            // One level above its items a list is there and empty; above that it is not there.
            if (Defined < deepest - 1)
            {
                writer.WriteNullValue();
                Skip();
                return;
            }

            Begin(writer);
            if (Defined < deepest)
            {
                Skip();
            }
            else
            {
                do
                {
                    WriteOne(writer);
                }
                while (Repeated == level);
            }

            End(writer);
        }

        protected abstract void Begin(Utf8JsonWriter writer);

        protected abstract void WriteOne(Utf8JsonWriter writer);

        protected abstract void End(Utf8JsonWriter writer);
    }

    private sealed class ListNode(string name, ParquetNode item, int deepest, int level) : RepeatedNode(name, deepest, level)
    {
        protected override ParquetNode First => item;

        protected override void Begin(Utf8JsonWriter writer) => writer.WriteStartArray();

        protected override void WriteOne(Utf8JsonWriter writer) => item.Write(writer);

        protected override void End(Utf8JsonWriter writer) => writer.WriteEndArray();

        protected override void Skip() => item.Skip();
    }

    private sealed class MapNode(string name, ColumnNode key, ParquetNode value, int deepest, int level) : RepeatedNode(name, deepest, level)
    {
        protected override ParquetNode First => key;

        protected override void Begin(Utf8JsonWriter writer) => writer.WriteStartObject();

        protected override void WriteOne(Utf8JsonWriter writer)
        {
            writer.WritePropertyName(key.WriteKey());
            value.Write(writer);
        }

        protected override void End(Utf8JsonWriter writer) => writer.WriteEndObject();

        protected override void Skip()
        {
            key.Skip();
            value.Skip();
        }
    }
}
