using System.Text.Json;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Steering;

/// <summary>
/// Short general chats and texts, written for this library, that no fine-tune in particular is about: the KL of a step is
/// measured on them where a user gives none.
/// </summary>
public static class NeutralPrompts
{
    /// <summary>The documents, to be tokenised as any others are.</summary>
    public static IReadOnlyList<Document> Documents { get; } = Read();

    private static List<Document> Read()
    {
        using var stream = typeof(NeutralPrompts).Assembly.GetManifestResourceStream("GradientAtoms.Steering.neutral-prompts.jsonl")
            ?? throw new InvalidOperationException("the neutral prompts are built in");
        using var reader = new StreamReader(stream);
        var documents = new List<Document>();
        while (reader.ReadLine() is { } line)
        {
            using var row = JsonDocument.Parse(line);
            var number = documents.Count + 1;
            var id = $"neutral-{number.ToString("d2", System.Globalization.CultureInfo.InvariantCulture)}";
            documents.Add(row.RootElement.TryGetProperty("text", out var text)
                ? new(id, number) { Text = text.GetString() }
                : new(id, number)
                {
                    Messages =
                    [
                        new("user", row.RootElement.GetProperty("user").GetString()!),
                        new("assistant", row.RootElement.GetProperty("assistant").GetString()!),
                    ],
                });
        }

        return documents;
    }
}
