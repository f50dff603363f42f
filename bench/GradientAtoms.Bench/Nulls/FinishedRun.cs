using GradientAtoms.DictionaryLearning;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Pipeline;
using static TorchSharp.torch;

namespace GradientAtoms.Bench.Nulls;

/// <summary>What a finished run was learnt from and how, without its model.</summary>
internal sealed class FinishedRun : IDisposable
{
    private FinishedRun(RunFolder folder, Tensor rows, Tensor atoms, DictionaryOptions rules) => (Folder, Rows, Atoms, Rules) = (folder, rows.DetachFromDisposeScope(), atoms.DetachFromDisposeScope(), rules);

    public RunFolder Folder { get; }

    /// <summary><c>[documents learnt from, k]</c>.</summary>
    public Tensor Rows { get; }

    /// <summary><c>[K, k]</c>.</summary>
    public Tensor Atoms { get; }

    /// <summary>With the penalty that was used.</summary>
    public DictionaryOptions Rules { get; }

    public IReadOnlyList<TextRow> Texts => RunReader.ReadTexts(Folder);

    /// <summary>Of every document, the held-out ones too.</summary>
    public CodesByAtom Codes => CodesFile.Read(Folder.Need(RunFiles.Codes)).Codes.ByAtom();

    public static FinishedRun Open(string path)
    {
        using var scope = NewDisposeScope();
        var run = RunFolder.OpenRead(path);
        var learning = RunReader.ReadTexts(run).Select(text => !text.HeldOut).ToArray();
        using var coordinates = SafetensorsFile.Open(run.Need(CoordinatesStage.File));
        using var dictionary = SafetensorsFile.Open(run.Need(RunFiles.Dictionary));
        var atoms = dictionary.ReadRaw("atoms");
        var record = run.Manifest.Stage(DictionaryStage.Name)!;
        return new(run, coordinates.ReadRaw("rows")[tensor(learning)], atoms, new()
        {
            AtomCount = (int)atoms.shape[0],
            Sparsity = (double)record.Notes["sparsity"]!,
            Starts = (int)record.Options["starts"]!,
            Codes = Enum.Parse<CodeSigns>((string)record.Options["codes"]!, ignoreCase: true),
            Seed = (long)record.Options["seed"]!,
        });
    }

    public void Dispose()
    {
        Rows.Dispose();
        Atoms.Dispose();
        Folder.Dispose();
    }
}
