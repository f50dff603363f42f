using System.Globalization;
using System.Text.Json;
using GradientAtoms.Tests.Support;
using GradientAtoms.Text.ChatTemplates;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Tests.ChatTemplates;

/// <summary>22 templates of real models against what transformers writes with them.</summary>
public sealed class RealTemplatesTests
{
    [Fact]
    public void Every_conversation_is_written_as_transformers_writes_it_or_fails_where_it_fails()
    {
        var failures = new List<string>();
        var count = 0;
        foreach (var (name, template, special, now, conversation) in Conversations())
        {
            count++;
            var label = $"{name}/{conversation.GetProperty("id").GetString()}";
            try
            {
                var rendering = Render(template, special, now, conversation);
                if (!conversation.TryGetProperty("rendered", out var expected))
                {
                    failures.Add($"{label}: should fail with {conversation.GetProperty("error").GetString()}, wrote {rendering.Text}");
                }
                else if (rendering.Text != expected.GetString())
                {
                    failures.Add($"{label}: expected\n{expected.GetString()}\nwrote\n{rendering.Text}");
                }
                else
                {
                    CheckGenerationSpans(label, rendering, conversation, failures);
                }
            }
            catch (ChatTemplateException error)
            {
                if (!conversation.TryGetProperty("error", out var message))
                {
                    failures.Add($"{label}: failed with {error.Message}");
                }
                else if (conversation.GetProperty("error_type").GetString() == "TemplateError" && (!error.IsRaisedByTemplate || error.Problem != message.GetString()))
                {
                    failures.Add($"{label}: expected the message '{message.GetString()}', not '{error.Problem}'");
                }
                else if (conversation.GetProperty("error_type").GetString() != "TemplateError" && error.Code != "GA2204")
                {
                    failures.Add($"{label}: expected GA2204, not {error.Code}");
                }
            }
        }

        Assert.True(failures.Count == 0, $"{failures.Count} of {count}:\n{string.Join("\n", failures.Take(5))}");
        Assert.True(count > 0, "no conversation was rendered");
    }

    [Fact]
    public void A_template_that_ends_within_few_steps_does_so_on_every_conversation()
    {
        foreach (var (name, template, special, now, conversation) in Conversations())
        {
            if (conversation.TryGetProperty("rendered", out var expected))
            {
                var rendering = Render(template, special, now, conversation, new(Steps: 20_000, Characters: 100_000, Depth: 60));
                Assert.True(expected.GetString() == rendering.Text, name);
            }
        }
    }

    private static void CheckGenerationSpans(string label, TemplateRendering rendering, JsonElement conversation, List<string> failures)
    {
        if (!conversation.TryGetProperty("generation_spans", out var spans))
        {
            return;
        }

        var expected = spans.EnumerateArray().Select(span => $"{span[0]}-{span[1]}");
        var actual = rendering.GenerationSpans.Select(span => $"{Points(span.Start)}-{Points(span.End)}");
        if (!expected.SequenceEqual(actual, StringComparer.Ordinal))
        {
            failures.Add($"{label}: generation blocks {string.Join(' ', expected)}, found {string.Join(' ', actual)}");
        }

        int Points(int units) => rendering.Text[..units].EnumerateRunes().Count();
    }

    private static TemplateRendering Render(ChatTemplate template, Dictionary<string, string> special, DateTime? now, JsonElement conversation, TemplateLimits? limits = null) =>
        template.RenderValues(
            (List<object?>)JsonValues.From(conversation.GetProperty("messages"))!,
            new()
            {
                AddGenerationPrompt = conversation.GetProperty("add_generation_prompt").GetBoolean(),
                SpecialTokens = special,
                Tools = conversation.TryGetProperty("tools", out var tools) ? (IReadOnlyList<object?>?)JsonValues.From(tools) : null,
                Variables = conversation.TryGetProperty("kwargs", out var variables) ? (IReadOnlyDictionary<string, object?>)JsonValues.From(variables)! : new Dictionary<string, object?>(StringComparer.Ordinal),
                Now = now,
            },
            limits);

    private static IEnumerable<(string Name, ChatTemplate Template, Dictionary<string, string> Special, DateTime? Now, JsonElement Conversation)> Conversations()
    {
        using var cases = JsonDocument.Parse(File.ReadAllBytes(Fixtures.Need("chat-templates/cases.json")));
        foreach (var entry in cases.RootElement.EnumerateArray())
        {
            var name = entry.GetProperty("name").GetString()!;
            var template = ChatTemplate.Parse(entry.GetProperty("template").GetString()!, name);
            var special = entry.GetProperty("special").EnumerateObject().Where(token => token.Value.ValueKind == JsonValueKind.String).ToDictionary(token => token.Name, token => token.Value.GetString()!, StringComparer.Ordinal);
            DateTime? now = entry.TryGetProperty("strftime_now", out var time) && time.ValueKind == JsonValueKind.String ? DateTime.Parse(time.GetString()!, CultureInfo.InvariantCulture) : null;
            foreach (var conversation in entry.GetProperty("conversations").EnumerateArray())
            {
                yield return (name, template, special, now, conversation);
            }
        }
    }
}
