using System.CommandLine;
using GradientAtoms.Atoms;
using GradientAtoms.Confounders;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Labels;
using GradientAtoms.Runs.Pipeline;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms atoms</c>: the atoms of a run, or one in full.</summary>
internal static class AtomsCommand
{
    public static GatomsCommand Create()
    {
        var run = new Argument<string>("RUN") { Description = "The run folder." };
        var atom = new Argument<string?>("ATOM") { Description = "An atom, or a pole of one (its id with + or -).", Arity = ArgumentArity.ZeroOrOne };
        var top = Opt.Whole("--top", "COUNT", "How many atoms to list (default all), or documents a pole to show (default 10).");
        var all = new Option<bool>("--all") { Description = "Also the atoms that are not certified; without it their number is shown." };
        var tree = Opt.Flag("--tree", "The atoms as trees, by direction and by documents, and the poles that occur together.");
        var where = Opt.Flag("--where", "With an atom: also its layers, heads and neurons, and its part of the change of the weights.");
        var sort = Opt.Choice("--sort", "Order of the list. Default share.", "share", "coherence", "documents");
        var command = new GatomsCommand(
            "atoms",
            "Lists the atoms of a run with both poles, certified ones first, or shows one in full: documents, keywords, modules, certificates.",
            "gatoms atoms runs/mine --sort coherence --top 20",
            "gatoms atoms runs/mine --all",
            "gatoms atoms runs/mine a1b2c3+",
            "gatoms atoms runs/mine a1b2c3 --where",
            "gatoms atoms runs/mine --tree")
        {
            run, atom, top, sort, all, where, tree,
        };
        command.Body = context =>
        {
            using var view = RunView.Open(context.Parse.GetRequiredValue(run));
            if (context.Parse.GetValue(tree))
            {
                AtomTreeText.Print(context, view, context.Parse.GetValue(top));
            }
            else if (context.Parse.GetValue(atom) is { } id)
            {
                Show(context, view, id, context.Parse.GetValue(top) ?? 10, context.Parse.GetValue(where));
            }
            else if (context.Parse.GetValue(where))
            {
                throw UsageException.Combination("gatoms atoms", "--where wants an atom", $"gatoms atoms {view.Name} lists them");
            }
            else
            {
                List(context, view, context.Parse.GetValue(sort), context.Parse.GetValue(top), context.Parse.GetValue(all));
            }
        };
        return command.Finished();
    }

    private static void List(CommandContext context, RunView view, string? sort, int? top, bool all)
    {
        IEnumerable<Atom> sorted = sort switch
        {
            "coherence" => view.Atoms.OrderByDescending(atom => atom.Poles.Max(pole => pole.Coherence) ?? double.MinValue),
            "documents" => view.Atoms.OrderByDescending(atom => atom.Poles.Sum(pole => pole.Documents)),
            "share" => view.Atoms.OrderByDescending(atom => atom.Share ?? double.MinValue),
            _ => view.Atoms,
        };
        // A run without certificates, or with none that passed, has nothing to put first.
        var certified = view.Atoms.Count(atom => atom.HasCertified == true);
        Atom[] ordered = [.. sorted.OrderByDescending(atom => atom.HasCertified == true)];
        Atom[] listed = [.. ordered.Take(top ?? int.MaxValue)];
        Atom[] printed = certified > 0 && !all ? [.. listed.Where(atom => atom.HasCertified == true)] : listed;
        context.Print(
            "gatoms/atoms",
            new { Run = view.Name, Total = view.Atoms.Count, Certified = view.Atoms.Any(atom => atom.HasCertified is not null) ? certified : (int?)null, Atoms = listed.Select(atom => atom with { Poles = [.. atom.Poles.Select(pole => pole with { Top = [.. pole.Top.Take(3)] })] }) },
            writer =>
            {
                var table = new TextTable("pole", "certified", "documents", "coherence", "share", "only", "module", "keywords").Right(2, 3, 4);
                foreach (var atom in printed)
                {
                    foreach (var pole in atom.Poles)
                    {
                        table.Add(
                            pole.Id,
                            pole.Certified switch { true => "yes", false => "no", null => "-" },
                            Plain.Count(pole.Documents),
                            pole.Coherence is { } coherence ? Plain.Number(coherence) : "-",
                            atom.Share is { } share ? Plain.Percent(share) : "-",
                            pole.Only is { Count: > 0 } only ? string.Join(", ", only) : pole.Only is null ? "-" : string.Empty,
                            atom.Modules is [var module, ..] ? module.Name : "-",
                            pole.Label ?? string.Join(", ", pole.Keywords ?? []));
                    }
                }

                table.Write(writer, context.Host.Width);
            });
        var rest = listed.Length - printed.Length;
        context.Hint(
            (printed.Length < view.Atoms.Count ? $"{Plain.Count(printed.Length)} of {Plain.Count(view.Atoms.Count)} atoms" : $"{Plain.Count(view.Atoms.Count)} atoms")
            + (rest > 0 ? $"; {Plain.Count(rest)} more are not certified: --all lists them" : string.Empty)
            + (listed.Length < view.Atoms.Count ? "; --top shows more" : string.Empty)
            + $". gatoms atoms {view.Name} POLE shows one with its documents.");
    }

    private static void Show(CommandContext context, RunView view, string id, int top, bool where)
    {
        var atom = view.FindAtom(id);
        IReadOnlyList<Pole> poles = id[^1] is '+' or '-' ? [view.FindPole(id).Pole] : atom.Poles;
        var texts = view.Texts();
        var evidence = TokensFile.IsThere(view.Folder)
            ? TokensFile.Read(view.Folder).Where(line => poles.Any(pole => pole.Id == line.Pole)).ToDictionary(line => (line.Pole, line.Document))
            : [];
        var place = where ? AtomWhere.Read(view, atom) : null;
        var shown = poles.Select(pole => (Pole: pole, Documents: pole.Top.Take(top).ToArray())).ToArray();
        context.Print(
            "gatoms/atom",
            new
            {
                Run = view.Name,
                atom.Id,
                atom.Share,
                atom.CoherenceReference,
                atom.Modules,
                place?.Layers,
                place?.Heads,
                place?.Neurons,
                place?.Written,
                place?.WeightChange,
                Poles = shown.Select(entry => new
                {
                    entry.Pole.Id,
                    entry.Pole.Sign,
                    entry.Pole.Documents,
                    entry.Pole.Coherence,
                    entry.Pole.CoherenceRaw,
                    entry.Pole.Certified,
                    entry.Pole.Reasons,
                    entry.Pole.Fdr,
                    entry.Pole.FamilyWise,
                    entry.Pole.Separation,
                    entry.Pole.SeparationNull,
                    entry.Pole.CoherenceNull,
                    entry.Pole.Recurrence,
                    entry.Pole.RecurrenceBar,
                    entry.Pole.Resampled,
                    entry.Pole.Agreement,
                    entry.Pole.AgreementNull,
                    entry.Pole.CodingGain,
                    entry.Pole.CodingGainNull,
                    entry.Pole.Confounders,
                    entry.Pole.Only,
                    entry.Pole.Keywords,
                    entry.Pole.PromptKeywords,
                    entry.Pole.AnswerKeywords,
                    entry.Pole.Label,
                    LabelledBy = view.Labels.GetValueOrDefault(entry.Pole.Id),
                    Top = entry.Documents.Select(document => new { document.Id, document.Code, texts.GetValueOrDefault(document.Id)?.Prompt, texts.GetValueOrDefault(document.Id)?.Answer, Evidence = Tokens(evidence.GetValueOrDefault((entry.Pole.Id, document.Id))) }),
                }),
            },
            writer => Write(writer, atom, shown, texts, view.Labels, evidence, place));
    }

    private static object? Tokens(TokenEvidence? evidence) => evidence is null ? null : new { evidence.Projection, evidence.Tokens, evidence.Trained, evidence.Position, evidence.Loss };

    private static void Write(TextWriter writer, Atom atom, IEnumerable<(Pole Pole, PoleDocument[] Documents)> poles, IReadOnlyDictionary<string, TextRow> texts, IReadOnlyDictionary<string, PoleLabel> labels, Dictionary<(string Pole, string Document), TokenEvidence> evidence, AtomWhere? place)
    {
        writer.WriteLine($"atom {atom.Id}{(atom.Share is { } share ? $"   share {Plain.Percent(share)}" : string.Empty)}");
        foreach (var module in (atom.Modules ?? []).Take(5))
        {
            writer.WriteLine($"  {Plain.Percent(module.Share),8}  {Plain.Line(module.Name)}");
        }

        place?.Write(writer);

        foreach (var (pole, documents) in poles)
        {
            writer.WriteLine();
            writer.WriteLine($"pole {pole.Id}   {Plain.Count(pole.Documents)} documents{Figure("coherence", pole.Coherence)}{Figure("of raw gradients", pole.CoherenceRaw)}");
            if (labels.TryGetValue(pole.Id, out var label))
            {
                writer.WriteLine($"  label: {Plain.Line(label.Text)} ({LabelCommand.Source(label)})");
            }

            WriteCertificate(writer, pole);
            WriteConfounders(writer, pole);
            if (pole.Keywords is { Count: > 0 } words)
            {
                writer.WriteLine($"  keywords: {Plain.Line(string.Join(", ", words))}");
                WriteWords(writer, "asked", pole.PromptKeywords);
                WriteWords(writer, "answered", pole.AnswerKeywords);
            }

            foreach (var document in documents)
            {
                writer.WriteLine();
                writer.WriteLine($"  {Plain.Number(document.Code),7}  {Plain.Line(document.Id)}");
                if (texts.GetValueOrDefault(document.Id) is { } text)
                {
                    Indent(writer, text.Prompt, "    > ");
                    Indent(writer, text.Answer, "      ");
                }

                if (evidence.GetValueOrDefault((pole.Id, document.Id)) is { } tokens)
                {
                    writer.WriteLine($"      tokens by position: {TokenText.Strongest(tokens.Tokens, tokens.Position, 5)}");
                    if (tokens.Loss is { } loss)
                    {
                        writer.WriteLine($"      tokens by loss:     {TokenText.Strongest(tokens.Tokens, loss, 5)}");
                    }
                }
            }

            if (pole.Documents > documents.Length)
            {
                writer.WriteLine();
                writer.WriteLine($"  … and {Plain.Count(pole.Documents - documents.Length)} more (--top, or gatoms docs RUN --pole {pole.Id})");
            }
        }
    }

    private static void WriteWords(TextWriter writer, string what, IReadOnlyList<string>? words)
    {
        if (words is { Count: > 0 })
        {
            writer.WriteLine($"    {what}: {Plain.Line(string.Join(", ", words))}");
        }
    }

    private static void WriteCertificate(TextWriter writer, Pole pole)
    {
        if (pole.Certified is not { } certified)
        {
            return;
        }

        writer.WriteLine(certified ? "  certified" : $"  not certified: {string.Join(", ", (pole.Reasons ?? []).Select(Reason))}");
        if (pole.Fdr is { } fdr)
        {
            writer.WriteLine($"    false discovery rate {Plain.Number(fdr)}{Figure("family-wise", pole.FamilyWise)}{Figure("separation", pole.Separation)} (chance {Plain.Number(pole.SeparationNull ?? 0)})");
            writer.WriteLine($"    other seeds {Value(pole.Recurrence)} (returned from {Value(pole.RecurrenceBar)}){Figure("resampled", pole.Resampled)}{Figure("thirds agree", pole.Agreement)} (chance {Value(pole.AgreementNull)})");
            writer.WriteLine($"    coding gain {Share(pole.CodingGain)} (chance {Share(pole.CodingGainNull)})");
        }
    }

    private static void WriteConfounders(TextWriter writer, Pole pole)
    {
        if (pole.Confounders is not { Count: > 0 } confounders)
        {
            return;
        }

        if (pole.Only is { Count: > 0 } only)
        {
            writer.WriteLine($"  only {string.Join(", ", only)}: that alone explains at least half of who is here");
        }

        ConfounderShare[] telling = [.. confounders.Where(confounder => confounder.Explained >= 0.01)];
        writer.WriteLine(telling.Length == 0
            ? $"  explained by none of: {string.Join(", ", confounders.Select(confounder => confounder.Name))}"
            : $"  explained by: {string.Join("; ", telling.Select(confounder => $"{confounder.Name} {Plain.Percent(confounder.Explained)}{(confounder.Where is { } where ? $" ({Plain.Line(where)})" : string.Empty)}"))}");
    }

    private static string Reason(string reason) => reason switch
    {
        "support" => "too few documents",
        "chance" => "may be chance (false discovery rate)",
        "run" => "no pole of the run is beyond the best of the nulls",
        "gain" => "adds no more to unseen documents than chance does",
        "seeds" => "does not return under other seeds",
        "thirds" => "parts of the documents do not agree on it",
        _ => reason,
    };

    private static string Value(double? value) => value is { } number ? Plain.Number(number) : "-";

    private static string Share(double? value) => value is { } number ? Plain.Percent(number) : "-";

    private static void Indent(TextWriter writer, string text, string indent)
    {
        foreach (var line in Plain.Lines(text).Split('\n').Where(line => line.Trim().Length > 0))
        {
            writer.WriteLine(indent + line);
        }
    }

    private static string Figure(string name, double? value) => value is { } number ? $"   {name} {Plain.Number(number)}" : string.Empty;
}
