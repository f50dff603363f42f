using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;
using GradientAtoms.Tests.Support;
using GradientAtoms.Text.ChatTemplates;
using GradientAtoms.Text.Documents;
using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.Tests.Documents;

/// <summary>The chats of the real audit, with SmolLM2's tokenizer and template, against what Python made of them.</summary>
public sealed class RealDataTests
{
    [Fact]
    public void The_first_ten_documents_have_the_ids_and_prompts_that_Python_gives()
    {
        var (documents, tokenizer) = Prepare(limit: 10, maxTokens: 100_000);
        using var expected = JsonDocument.Parse(File.ReadAllBytes(Fixtures.Need("gguf/expected.json")));
        var items = expected.RootElement.GetProperty("documents").GetProperty("items").EnumerateArray().ToList();
        Assert.Equal(10, items.Count);
        foreach (var (document, item) in documents.Documents.Zip(items))
        {
            var tokenized = tokenizer.Tokenize(document).Documents.Single();
            Assert.Equal(item.GetProperty("id").GetString(), tokenized.Id);
            Assert.Equal(item.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()), tokenized.Tokens);
            Assert.Equal(item.GetProperty("prompt_tokens").GetInt32(), PromptLength(tokenized));
        }
    }

    [Fact]
    public void The_first_1500_documents_have_the_token_counts_of_the_real_audit()
    {
        var (documents, tokenizer) = Prepare(limit: 1500, maxTokens: 256);
        var path = Fixtures.Need("smollm2-audit/expected.safetensors");
        var (tokens, prompts) = (ReadLongs(path, "tokens"), ReadLongs(path, "prompt_tokens"));
        var set = tokenizer.TokenizeAll(documents.Documents, documents.File);
        Assert.Empty(set.Rejected);
        Assert.Equal(0, set.SplitCount);
        Assert.Equal(tokens, set.Documents.Select(document => (long)document.Tokens.Length));
        Assert.Equal(prompts, set.Documents.Select(document => (long)PromptLength(document)));
    }

    [Fact]
    public void All_rows_of_the_instruct_data_can_be_used()
    {
        var set = DocumentReader.Read(Fixtures.NeedShared("data/instruct-5k.jsonl"));
        Assert.Equal(DocumentShape.Messages, set.Shape);
        Assert.Empty(set.Rejected);
        Assert.Empty(set.RenamedIds);
        Assert.Equal(File.ReadLines(set.File).Count(), set.Documents.Count);
        Assert.Equal(set.Documents.Count, set.Duplicates.Count + set.Documents.DistinctBy(document => string.Join('\0', document.Messages.Select(message => message.Role + '\0' + message.Content)), StringComparer.Ordinal).Count());
    }

    private static (DocumentSet Documents, ChatTokenizer Tokenizer) Prepare(int limit, int maxTokens)
    {
        var folder = Fixtures.Need("tokenizers/smollm2");
        var documents = DocumentReader.Read(Fixtures.NeedShared("data/instruct-5k.jsonl"), new() { Limit = limit });
        var (template, special) = ChatTemplateFile.FromFolder(folder);
        return (documents, new(Tokenizer.Load(Path.Combine(folder, "tokenizer.json")), template, special, new() { MaxTokens = maxTokens }));
    }

    private static int PromptLength(TokenizedDocument document)
    {
        var first = Array.IndexOf(document.Trained, true);
        Assert.True(document.Trained.AsSpan(first).IndexOf(false) < 0, $"{document.Id} has one answer, which is trained to its end");
        return first;
    }

    private static long[] ReadLongs(string path, string name)
    {
        var bytes = File.ReadAllBytes(path);
        var headerLength = (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        using var header = JsonDocument.Parse(bytes.AsMemory(8, headerLength));
        var entry = header.RootElement.GetProperty(name);
        Assert.Equal("I64", entry.GetProperty("dtype").GetString());
        var (start, end) = (entry.GetProperty("data_offsets")[0].GetInt32(), entry.GetProperty("data_offsets")[1].GetInt32());
        return MemoryMarshal.Cast<byte, long>(bytes.AsSpan(8 + headerLength)[start..end]).ToArray();
    }
}
