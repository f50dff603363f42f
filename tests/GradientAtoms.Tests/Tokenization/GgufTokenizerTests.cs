using System.Text.Json;
using GradientAtoms.Tests.Support;
using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.Tests.Tokenization;

public sealed class GgufTokenizerTests
{
    [Theory]
    [InlineData("smollm2", "smollm")]
    [InlineData("gpt2", "gpt-2")]
    [InlineData("gpt2", null)]
    [InlineData("qwen3", "qwen2")]
    public void A_gguf_vocabulary_gives_the_ids_of_its_tokenizer_json(string name, string? pre)
    {
        var folder = Fixtures.Need($"tokenizers/{name}");
        using var json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "tokenizer.json")));
        var model = json.RootElement.GetProperty("model");
        var ids = model.GetProperty("vocab").EnumerateObject().ToDictionary(member => member.Value.GetInt32(), member => member.Name);
        var types = ids.Keys.ToDictionary(id => id, _ => 1);
        foreach (var token in json.RootElement.GetProperty("added_tokens").EnumerateArray())
        {
            var id = token.GetProperty("id").GetInt32();
            ids[id] = token.GetProperty("content").GetString()!;
            types[id] = token.GetProperty("special").GetBoolean() ? 3 : 4;
        }

        var merges = model.GetProperty("merges").EnumerateArray()
            .Select(merge => merge.ValueKind == JsonValueKind.String ? merge.GetString()! : $"{merge[0].GetString()} {merge[1].GetString()}");
        var tokenizer = Tokenizer.FromGguf(
            "gpt2",
            pre,
            [.. Enumerable.Range(0, ids.Count).Select(id => ids[id])],
            [.. merges],
            [.. Enumerable.Range(0, ids.Count).Select(id => types[id])],
            "test.gguf");
        var records = TokenizerFixtures.Records(folder).Where(record => !record.AddSpecialTokens).ToList();
        Assert.NotEmpty(records);
        Assert.All(records, record =>
        {
            Assert.Equal(record.Ids, tokenizer.Encode(record.Text));
            Assert.Equal(record.Decoded, tokenizer.Decode(record.Ids));
            Assert.Equal(record.DecodedSkipSpecial, tokenizer.Decode(record.Ids, skipSpecialTokens: true));
        });
    }

    [Fact]
    public void Names_of_ways_to_split_decide_how_numbers_are_cut()
    {
        string[] tokens = ["1", "2", "12", "Ġ", "Ġ1"];
        string[] merges = ["1 2", "Ġ 1"];
        Assert.Equal([4, 1], Tokenizer.FromGguf("gpt2", "gpt-2", tokens, ["Ġ 1", "1 2"], null, "x").Encode(" 12"));
        Assert.Equal([3, 0, 1], Tokenizer.FromGguf("gpt2", "smollm", tokens, merges, null, "x").Encode(" 12"));
        Assert.Equal([3, 2], Tokenizer.FromGguf("gpt2", "llama-bpe", tokens, merges, null, "x").Encode(" 12"));
        Assert.Equal([3, 0, 1], Tokenizer.FromGguf("gpt2", "qwen2", tokens, merges, null, "x").Encode(" 12"));
    }

    [Fact]
    public void Begin_and_end_are_added_when_asked()
    {
        var tokenizer = Tokenizer.FromGguf("gpt2", "gpt-2", ["<s>", "</s>", "a"], [], [3, 3, 1], "x", beginId: 0, endId: 1);
        Assert.Equal([2], tokenizer.Encode("a"));
        Assert.Equal([0, 2, 1], tokenizer.Encode("a", addSpecialTokens: true));
    }

    [Fact]
    public void A_sentencepiece_vocabulary_gives_the_ids_of_its_tokenizer_json()
    {
        var folder = Fixtures.Need("tokenizers/mistral-v1");
        using var json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "tokenizer.json")));
        var ids = json.RootElement.GetProperty("model").GetProperty("vocab").EnumerateObject().ToDictionary(member => member.Value.GetInt32(), member => member.Name);

        // The json has a list of merges in place of scores, the best first: a piece is as good as its first merge.
        var scores = Enumerable.Range(0, ids.Count).Select(id => id < 259 ? 0f : -1e6f).ToArray();
        var merges = json.RootElement.GetProperty("model").GetProperty("merges").EnumerateArray()
            .Select(merge => merge.ValueKind == JsonValueKind.String ? merge.GetString()!.Replace(" ", "", StringComparison.Ordinal) : merge[0].GetString() + merge[1].GetString())
            .Select((piece, rank) => (piece, rank)).DistinctBy(merge => merge.piece).ToDictionary(merge => merge.piece, merge => merge.rank, StringComparer.Ordinal);
        foreach (var (id, piece) in ids)
        {
            scores[id] = merges.TryGetValue(piece, out var rank) ? -rank : scores[id];
        }

        var tokenizer = Tokenizer.FromGguf(
            "llama",
            null,
            [.. Enumerable.Range(0, ids.Count).Select(id => ids[id])],
            [],
            [.. Enumerable.Range(0, ids.Count).Select(id => id == 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1)],
            "test.gguf",
            beginId: 1,
            scores: scores);
        Assert.All(TokenizerFixtures.Records(folder), record =>
        {
            Assert.Equal(record.Ids, tokenizer.Encode(record.Text, record.AddSpecialTokens));
            Assert.Equal(record.Decoded, tokenizer.Decode(record.Ids));
            Assert.Equal(record.Offsets.Select(span => (span[0], span[1])), tokenizer.EncodeWithOffsets(record.Text, record.AddSpecialTokens).Select(token => (token.Start, token.End)));
        });
    }

    [Fact]
    public void A_blank_is_put_before_unless_the_file_says_not()
    {
        string[] tokens = ["<unk>", "<s>", "▁", "a", "▁a"];
        float[] scores = [0, 0, -3, -4, -1];
        int[] types = [2, 3, 1, 1, 1];
        Assert.Equal([4, 1, 4], Tokenizer.FromGguf("llama", null, tokens, [], types, "x", scores: scores).Encode("a<s>a"));
        Assert.Equal([3, 1, 4], Tokenizer.FromGguf("llama", null, tokens, [], types, "x", scores: scores, addSpacePrefix: false).Encode("a<s> a"));
    }

    [Fact]
    public void What_is_not_known_is_refused_by_name()
    {
        Refused("GA2104", "bert", () => Tokenizer.FromGguf("bert", null, ["a"], [], null, "x"));
        Refused("GA2104", "klingon", () => Tokenizer.FromGguf("gpt2", "klingon", ["a"], [], null, "x"));
    }

    [Fact]
    public void Lists_that_do_not_fit_are_refused()
    {
        Refused("GA2108", "types", () => Tokenizer.FromGguf("gpt2", null, ["a"], [], [1, 1], "x"));
        Refused("GA2108", "scores", () => Tokenizer.FromGguf("llama", null, ["a"], [], [1], "x"));
        Refused("GA2108", "score", () => Tokenizer.FromGguf("llama", null, ["a"], [], [1], "x", scores: [float.NaN]));
        Refused("GA2108", "type 9", () => Tokenizer.FromGguf("llama", null, ["a"], [], [9], "x", scores: [0]));
        Refused("GA2108", "bos", () => Tokenizer.FromGguf("llama", null, ["a"], [], [1], "x", beginId: 7, scores: [0]));
        Refused("GA2108", "bos", () => Tokenizer.FromGguf("gpt2", null, ["a"], [], null, "x", beginId: 7));
        Refused("GA2105", "ab", () => Tokenizer.FromGguf("gpt2", null, ["a"], ["ab"], null, "x"));
        Refused("GA2105", "b", () => Tokenizer.FromGguf("gpt2", null, ["a"], ["a b"], null, "x"));
        Refused("GA2106", "a", () => Tokenizer.FromGguf("gpt2", null, ["a", "a"], [], null, "x"));
    }

    private static void Refused(string code, string names, Action make)
    {
        var error = Assert.Throws<TokenizerException>(make);
        Assert.Equal(code, error.Code);
        Assert.Contains(names, error.Problem, StringComparison.Ordinal);
    }
}
